//! Parts for measuring the server: a provider that answers immediately (or slowly, or wrongly), a
//! pass-through proxy for comparison, and a client. `run.py` combines them.

mod client;
mod provider;
mod proxy;
mod said;

use clap::Parser;

/// A provider, a pass-through proxy and a client, to measure a gateway with.
#[derive(Parser)]
enum Part {
    /// Simulate a provider, in all four protocols.
    Provider(provider::Options),
    /// Pass everything through: hyper in, hyper's pooled client out, nothing read.
    Proxy(proxy::Options),
    /// Send requests over persistent connections, and print the results as JSON.
    Client(client::Options),
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    match Part::parse() {
        Part::Provider(options) => provider::run(options).await,
        Part::Proxy(options) => proxy::run(options).await,
        Part::Client(options) => client::run(options).await,
    }
}
