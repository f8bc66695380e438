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
        let host = uri
            .host()?
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let host_header = HeaderValue::from_str(uri.authority()?.as_str()).ok()?;
        Some(Self {
            tls,
            host,
            port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            host_header,
        })
    }
}

impl Origin {
    /// A path here, with scheme and host, as HTTP/2 wants it.
    pub(super) fn absolute(&self, path: Uri) -> Result<Uri, UpstreamError> {
        let mut parts = path.into_parts();
        parts.scheme = Some(if self.tls {
            http::uri::Scheme::HTTPS
        } else {
            http::uri::Scheme::HTTP
        });
        parts.authority = http::uri::Authority::try_from(self.host_header.as_bytes()).ok();
        Uri::from_parts(parts).map_err(|e| UpstreamError::Connect(e.to_string()))
    }
}

/// A byte stream, encrypted or not.
pub(super) trait Io: hyper::rt::Read + hyper::rt::Write + Send {}
impl<T: hyper::rt::Read + hyper::rt::Write + Send> Io for T {}

/// Of HTTP.
#[derive(Clone, Copy)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// TLS 1.2 and 1.3, the system's roots, or Mozilla's where it has none.
pub(super) fn tls(version: Version) -> Result<TlsConnector, rustls::Error> {
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
    config.alpn_protocols = vec![match version {
        Version::Http1 => b"http/1.1".to_vec(),
        Version::Http2 => b"h2".to_vec(),
    }];
    Ok(TlsConnector::from(Arc::new(config)))
}

pub(super) async fn connect(
    origin: &Origin,
    tls: &TlsConnector,
) -> Result<Pin<Box<dyn Io>>, UpstreamError> {
    let fail = |e: std::io::Error| UpstreamError::Connect(e.to_string());
    let stream = TcpStream::connect((origin.host.as_str(), origin.port))
        .await
        .map_err(fail)?;
    stream.set_nodelay(true).map_err(fail)?;
    if !origin.tls {
        return Ok(Box::pin(TokioIo::new(stream)));
    }
    let name = ServerName::try_from(origin.host.clone())
        .map_err(|e| UpstreamError::Connect(e.to_string()))?;
    Ok(Box::pin(TokioIo::new(
        tls.connect(name, stream).await.map_err(fail)?,
    )))
}
