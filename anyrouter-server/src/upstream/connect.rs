//! A connection to a provider's origin.

use std::{pin::Pin, sync::Arc};

use anyrouter_core::ports::UpstreamError;
use http::{HeaderValue, Uri};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Scheme, host and port.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    tls: bool,
    host: String,
    port: u16,
    pub(super) host_header: HeaderValue,
}

impl Origin {
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let tls = uri.scheme_str()? == "https";
        let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let host_header = HeaderValue::from_str(uri.authority()?.as_str()).ok()?;
        Some(Self { tls, host, port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }), host_header })
    }
}

/// A byte stream, encrypted or not.
pub(super) trait Io: hyper::rt::Read + hyper::rt::Write + Send {}
impl<T: hyper::rt::Read + hyper::rt::Write + Send> Io for T {}

/// TLS 1.2 and 1.3, HTTP/1.1, the system's roots, or Mozilla's where it has none.
pub(super) fn tls() -> Result<TlsConnector, rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

pub(super) async fn connect(origin: &Origin, tls: &TlsConnector) -> Result<Pin<Box<dyn Io>>, UpstreamError> {
    let fail = |e: std::io::Error| UpstreamError::Connect(e.to_string());
    let stream = TcpStream::connect((origin.host.as_str(), origin.port)).await.map_err(fail)?;
    stream.set_nodelay(true).map_err(fail)?;
    if !origin.tls {
        return Ok(Box::pin(TokioIo::new(stream)));
    }
    let name = ServerName::try_from(origin.host.clone()).map_err(|e| UpstreamError::Connect(e.to_string()))?;
    Ok(Box::pin(TokioIo::new(tls.connect(name, stream).await.map_err(fail)?)))
}
