//! Errors of stores.

/// Reason for the failure of an operation of a store. The text is for operators: it describes the
/// failure and its cause, and contains no key, account or stored data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store is locked or did not answer in time. The same call may succeed later.
    #[error("busy: {0}")]
    Busy(String),
    /// The store is full.
    #[error("full: {0}")]
    Full(String),
    /// The stored data cannot be read.
    #[error("corrupt: {0}")]
    Corrupt(String),
    /// The object of the operation does not exist.
    #[error("absent: {0}")]
    Absent(String),
    /// The object was changed by another caller since it was read.
    #[error("changed by another: {0}")]
    Conflict(String),
    /// The store cannot be reached, or fails in another way.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// Returns the name of the kind, used in logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Busy(_) => "busy",
            Self::Full(_) => "full",
            Self::Corrupt(_) => "corrupt",
            Self::Absent(_) => "absent",
            Self::Conflict(_) => "conflict",
            Self::Unavailable(_) => "unavailable",
        }
    }

    /// Prefixes the text with the operation that failed.
    #[must_use]
    pub fn during(self, what: &str) -> Self {
        let with = |why: String| format!("{what}: {why}");
        match self {
            Self::Busy(why) => Self::Busy(with(why)),
            Self::Full(why) => Self::Full(with(why)),
            Self::Corrupt(why) => Self::Corrupt(with(why)),
            Self::Absent(why) => Self::Absent(with(why)),
            Self::Conflict(why) => Self::Conflict(with(why)),
            Self::Unavailable(why) => Self::Unavailable(with(why)),
        }
    }
}

impl From<std::io::Error> for StoreError {
    fn from(e: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match e.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::WriteZero => {
                Self::Full(e.to_string())
            }
            ErrorKind::InvalidData => Self::Corrupt(e.to_string()),
            ErrorKind::TimedOut | ErrorKind::WouldBlock | ErrorKind::ResourceBusy => {
                Self::Busy(e.to_string())
            }
            _ => Self::Unavailable(e.to_string()),
        }
    }
}
