//! The parts that the server is measured with: a provider that answers at once (or slowly, or
//! wrongly), a pass-through proxy to compare with, and a client. `compare.py`, `measure.py` and
//! `soak.py` put them together.

mod client;
mod provider;
mod proxy;

use clap::Parser;

/// A provider, a pass-through proxy and a client, to measure a gateway with.
#[derive(Parser)]
enum Part {
    /// Plays the provider, in OpenAI's and Anthropic's protocol.
    Provider(provider::Options),
    /// Passes everything through: hyper in, hyper's pooled client out, nothing read.
    Proxy(proxy::Options),
    /// Sends requests over kept connections, and prints what came of them as JSON.
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
