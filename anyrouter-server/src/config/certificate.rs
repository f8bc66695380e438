//! Validity dates of the listener's certificate.

use std::path::Path;

use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

/// Days before expiry from which the server warns.
const SOON: i64 = 14;

/// Returns a warning if the certificate is not valid now or expires soon. The listener itself
/// rejects a certificate that cannot be read.
pub(super) fn warning(path: &Path) -> Option<String> {
    let first = CertificateDer::pem_file_iter(path).ok()?.next()?.ok()?;
    let (_, certificate) = X509Certificate::from_der(&first).ok()?;
    let validity = certificate.validity();
    let now = x509_parser::time::ASN1Time::now();
    let (end, path) = (validity.not_after, path.display());
    if end < now {
        return Some(format!(
            "tls.cert: {path} expired on {end}; clients will refuse it, so renew it and send SIGHUP"
        ));
    }
    if validity.not_before > now {
        return Some(format!(
            "tls.cert: {path} is not good before {}; clients will refuse it",
            validity.not_before
        ));
    }
    let days = (end.timestamp() - now.timestamp()) / 86_400;
    (days < SOON).then(|| {
        format!("tls.cert: {path} expires on {end}, in {days} days; renew it and send SIGHUP")
    })
}
