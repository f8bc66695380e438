//! The listener's TLS: 1.2 or higher (P30).

use std::{
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};

use anyrouter_core::config::Config;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use tokio_rustls::TlsAcceptor;

use crate::server::StartError;

/// TLS configuration of the listener, which a reload replaces.
#[derive(Clone)]
pub(crate) struct Tls(Arc<RwLock<TlsAcceptor>>);

impl Tls {
    /// Reads the certificate and the key of a configuration. Returns `None` if it has none.
    pub(crate) fn open(config: &Config) -> Result<Option<Self>, StartError> {
        let Some((cert, key)) = &config.tls else {
            return Ok(None);
        };
        Ok(Some(Self(Arc::new(RwLock::new(acceptor(cert, key)?)))))
    }

    /// Reloads the certificate and the key, for connections that begin from now on.
    pub(crate) fn reload(&self, config: &Config) -> Result<(), StartError> {
        if let Some((cert, key)) = &config.tls {
            let new = acceptor(cert, key)?;
            *self.0.write().unwrap_or_else(PoisonError::into_inner) = new;
        }
        Ok(())
    }

    /// Returns the acceptor for the next connection.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Checks that the certificate and the key can be used, for `--check`.
pub fn check_tls(config: &Config) -> Result<(), StartError> {
    Tls::open(config).map(drop)
}

fn acceptor(cert: &PathBuf, key: &PathBuf) -> Result<TlsAcceptor, StartError> {
    let wrong = |path: &PathBuf, e: &dyn std::fmt::Display| {
        StartError::Tls(format!("{}: {e}", path.display()))
    };
    let certs: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|e| wrong(cert, &e))?;
    let key_der = PrivateKeyDer::from_pem_file(key).map_err(|e| wrong(key, &e))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .and_then(|b| b.with_no_client_auth().with_single_cert(certs, key_der))
        .map_err(|e| wrong(cert, &e))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
