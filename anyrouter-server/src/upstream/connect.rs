//! Connections to a provider's origin, and the classification of their errors.

use std::{error::Error, io, pin::Pin, sync::Arc};

use anyrouter_core::{ports::UpstreamError, wire::connection::ConnectionFault};
use http::{HeaderValue, Uri};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio_rustls::TlsConnector;
use tower::ServiceExt as _;

/// Scheme, host and port.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    tls: bool,
    host: String,
    /// The address for the connector.
    uri: Uri,
    pub(super) host_header: HeaderValue,
}

impl Origin {
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        let tls = uri.scheme_str()? == "https";
        let root = Uri::builder()
            .scheme(uri.scheme()?.clone())
            .authority(uri.authority()?.clone())
            .path_and_query("/");
        let host = uri
            .host()?
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let host_header = HeaderValue::from_str(uri.authority()?.as_str()).ok()?;
        Some(Self {
            tls,
            host,
            uri: root.build().ok()?,
            host_header,
        })
    }
}

impl Origin {
    /// Returns a path with the scheme and host of this origin, as HTTP/2 requires.
    pub(super) fn absolute(&self, path: Uri) -> Result<Uri, UpstreamError> {
        let mut parts = path.into_parts();
        parts.scheme = Some(if self.tls {
            http::uri::Scheme::HTTPS
        } else {
            http::uri::Scheme::HTTP
        });
        parts.authority = http::uri::Authority::try_from(self.host_header.as_bytes()).ok();
        Uri::from_parts(parts).map_err(|_| UpstreamError::Connect(ConnectionFault::Address))
    }
}

/// A byte stream, encrypted or not.
pub(super) trait Io: hyper::rt::Read + hyper::rt::Write + Send {}
impl<T: hyper::rt::Read + hyper::rt::Write + Send> Io for T {}

/// Version of HTTP.
#[derive(Clone, Copy)]
pub(super) enum Version {
    Http1,
    Http2,
}

/// Creates a connector for TLS 1.2 and 1.3, with the system's roots, or Mozilla's if there are
/// none.
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

/// Creates a connector for TCP, which tries both address families of a name (RFC 8305).
pub(super) fn tcp() -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector
}

pub(super) async fn connect(
    origin: &Origin,
    tcp: &HttpConnector,
    tls: &TlsConnector,
) -> Result<Pin<Box<dyn Io>>, UpstreamError> {
    let stream = tcp
        .clone()
        .oneshot(origin.uri.clone())
        .await
        .map_err(|e| UpstreamError::Connect(of_connector(&e)))?;
    if !origin.tls {
        return Ok(Box::pin(stream));
    }
    let name = ServerName::try_from(origin.host.clone())
        .map_err(|_| UpstreamError::Connect(ConnectionFault::Address))?;
    let stream = tls.connect(name, stream.into_inner()).await;
    let stream = stream.map_err(|e| UpstreamError::Connect(of_io(&e)))?;
    Ok(Box::pin(TokioIo::new(stream)))
}

/// Returns the first cause of `error` that is a `T`, including `error` itself.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let causes = std::iter::successors(Some(error), |&e| e.source());
    causes.into_iter().find_map(|e| e.downcast_ref())
}

/// Classifies an error of the connector, which names the failed step only in its message.
fn of_connector(error: &(impl Error + 'static)) -> ConnectionFault {
    if error.to_string().starts_with("dns error") {
        return ConnectionFault::Dns;
    }
    cause(error).map_or(ConnectionFault::Other, of_io)
}

fn of_io(error: &io::Error) -> ConnectionFault {
    if let Some(tls) = error
        .get_ref()
        .and_then(|e| e.downcast_ref::<rustls::Error>())
    {
        return of_tls(tls);
    }
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ConnectionFault::Refused,
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
            ConnectionFault::Unreachable
        }
        io::ErrorKind::TimedOut => ConnectionFault::Timeout,
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => ConnectionFault::Closed,
        _ => ConnectionFault::Other,
    }
}

fn of_tls(error: &rustls::Error) -> ConnectionFault {
    use rustls::CertificateError as E;
    match error {
        rustls::Error::InvalidCertificate(E::UnknownIssuer) => ConnectionFault::CertificateIssuer,
        rustls::Error::InvalidCertificate(
            E::Expired | E::ExpiredContext { .. } | E::NotValidYet | E::NotValidYetContext { .. },
        ) => ConnectionFault::CertificateDate,
        rustls::Error::InvalidCertificate(
            E::NotValidForName | E::NotValidForNameContext { .. },
        ) => ConnectionFault::CertificateName,
        rustls::Error::InvalidCertificate(_) => ConnectionFault::Certificate,
        _ => ConnectionFault::Tls,
    }
}

/// Classifies an error of an established connection. Returns only its kind, because hyper's
/// messages could contain data that must not be repeated.
pub(super) fn of_hyper(error: &hyper::Error) -> ConnectionFault {
    if error.is_parse() {
        return ConnectionFault::Http;
    }
    match cause::<io::Error>(error).map(of_io) {
        Some(ConnectionFault::Timeout | ConnectionFault::Other) | None => ConnectionFault::Closed,
        Some(fault) => fault,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fault(uri: &str) -> ConnectionFault {
        let origin = Origin::of(&uri.parse().unwrap()).unwrap();
        let made = connect(&origin, &tcp(), &tls(Version::Http1).unwrap()).await;
        match made.map(drop) {
            Err(UpstreamError::Connect(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_connection_that_is_not_made_says_why() {
        assert_eq!(
            fault("http://nobody.invalid/v1").await,
            ConnectionFault::Dns
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let plain = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
            stream
        };
        let uri = format!("https://127.0.0.1:{port}/v1");
        let (fault_of_plain, _stream) = tokio::join!(fault(&uri), plain);
        assert_eq!(fault_of_plain, ConnectionFault::Tls);
        drop(listener);
        let uri = format!("http://127.0.0.1:{port}/v1");
        assert_eq!(fault(&uri).await, ConnectionFault::Refused);
    }

    #[tokio::test]
    async fn a_name_with_two_addresses_is_tried_at_both() {
        // `localhost` is ::1 as well on most machines, where nobody listens here.
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let origin = Origin::of(&format!("http://localhost:{port}/").parse().unwrap()).unwrap();
        let made = connect(&origin, &tcp(), &tls(Version::Http1).unwrap()).await;
        assert!(made.is_ok());
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_told_apart() {
        use rustls::{CertificateError as E, Error::InvalidCertificate};
        for (error, fault) in [
            (E::UnknownIssuer, ConnectionFault::CertificateIssuer),
            (E::Expired, ConnectionFault::CertificateDate),
            (E::NotValidYet, ConnectionFault::CertificateDate),
            (E::NotValidForName, ConnectionFault::CertificateName),
            (E::Revoked, ConnectionFault::Certificate),
        ] {
            let error = io::Error::new(io::ErrorKind::InvalidData, InvalidCertificate(error));
            assert_eq!(of_io(&error), fault);
        }
    }
}
