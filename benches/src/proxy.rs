//! A pass-through proxy, written in the usual way. It shows the minimum cost of any intermediary.

use std::sync::Arc;

use hyper::{Request, Response, Uri, body::Incoming, http::uri::Parts, service::service_fn};
use hyper_util::{
    client::legacy::{Client, Error, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::net::TcpListener;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    listen: String,
    /// Destination of all requests, as HOST:PORT.
    #[arg(long)]
    to: String,
}

pub(crate) async fn run(options: Options) -> std::io::Result<()> {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    let (listener, to) = (
        TcpListener::bind(&options.listen).await?,
        Arc::<str>::from(options.to),
    );
    loop {
        let (stream, _) = listener.accept().await?;
        let _ = stream.set_nodelay(true);
        let (client, to) = (client.clone(), to.clone());
        let service = service_fn(move |request| pass(client.clone(), to.clone(), request));
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service),
        );
    }
}

async fn pass(
    client: Client<HttpConnector, Incoming>,
    to: Arc<str>,
    mut request: Request<Incoming>,
) -> Result<Response<Incoming>, Error> {
    let mut parts = Parts::default();
    parts.scheme = Some(hyper::http::uri::Scheme::HTTP);
    parts.authority = to.parse().ok();
    parts.path_and_query = request.uri().path_and_query().cloned();
    *request.uri_mut() = Uri::from_parts(parts).unwrap_or_default();
    client.request(request).await
}
