//! Faults of connections to providers, without any of the data sent over them.

/// Reason why a connection to a provider failed or broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionFault {
    /// The configured address of the provider is not a valid URL.
    #[error("its `base_url` is not a valid URL")]
    Address,
    /// The host name has no address, or the resolver does not answer.
    #[error("its host name cannot be resolved")]
    Dns,
    /// No server listens at the address.
    #[error("the connection was refused")]
    Refused,
    /// There is no route to the address.
    #[error("there is no route to it")]
    Unreachable,
    /// The connection was not made in time.
    #[error("no connection was made in time")]
    Timeout,
    /// The issuer of the certificate is not trusted.
    #[error("its certificate is of an unknown issuer")]
    CertificateIssuer,
    /// The certificate is expired or not yet valid.
    #[error("its certificate is expired or not yet valid")]
    CertificateDate,
    /// The certificate is for another name.
    #[error("its certificate is for another name")]
    CertificateName,
    /// The certificate is invalid for another reason.
    #[error("its certificate is invalid")]
    Certificate,
    /// The server does not support a usable version of TLS.
    #[error("it does not support a usable version of TLS")]
    Tls,
    /// The other side closed or reset the connection.
    #[error("it closed the connection")]
    Closed,
    /// The server's response is not valid HTTP.
    #[error("its response is not valid HTTP")]
    Http,
    /// Another fault.
    #[error("the connection failed")]
    Other,
}

impl ConnectionFault {
    /// Returns the name used in logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Dns => "dns",
            Self::Refused => "refused",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::CertificateIssuer => "certificate_issuer",
            Self::CertificateDate => "certificate_date",
            Self::CertificateName => "certificate_name",
            Self::Certificate => "certificate",
            Self::Tls => "tls",
            Self::Closed => "closed",
            Self::Http => "http",
            Self::Other => "other",
        }
    }
}
