//! Why a connection to a provider failed, without a word of what was sent over it.

/// Why a connection to a provider was not made, or broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionFault {
    /// The address of the provider in the configuration is none.
    #[error("its `base_url` is not a valid URL")]
    Address,
    /// The name has no address, or the resolver does not answer.
    #[error("its host name cannot be resolved")]
    Dns,
    /// Nobody listens there.
    #[error("the connection was refused")]
    Refused,
    /// There is no way to it.
    #[error("there is no route to it")]
    Unreachable,
    /// No connection in time.
    #[error("no connection was made in time")]
    Timeout,
    /// The certificate was not issued by anybody who is trusted here.
    #[error("its certificate is of an unknown issuer")]
    CertificateIssuer,
    /// The certificate is expired, or not valid yet.
    #[error("its certificate is not valid today")]
    CertificateDate,
    /// The certificate is for another name.
    #[error("its certificate is for another name")]
    CertificateName,
    /// The certificate is not good for another reason.
    #[error("its certificate is invalid")]
    Certificate,
    /// It does not speak TLS as it must.
    #[error("it speaks no TLS that can be used")]
    Tls,
    /// The other side closed or reset the connection.
    #[error("it closed the connection")]
    Closed,
    /// It does not speak HTTP as it must.
    #[error("what it sent is not HTTP")]
    Http,
    /// Something else.
    #[error("the connection failed")]
    Other,
}

impl ConnectionFault {
    /// Its name, as logs have it.
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
