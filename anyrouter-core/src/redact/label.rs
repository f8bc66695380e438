//! Labels of values, and findings.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The kind of a value. The names are stable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Label {
    /// One of the built-in labels.
    Known(Kind),
    /// A custom rule's label.
    Custom(std::sync::Arc<str>),
}

macro_rules! kinds {
    ($($kind:ident $name:literal $what:literal),+ $(,)?) => {
        /// The built-in labels.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "SCREAMING_SNAKE_CASE")]
        #[non_exhaustive]
        pub enum Kind { $(#[doc = $what] $kind),+ }

        impl Kind {
            /// All built-in labels, each with its description.
            pub const ALL: &[(Self, &'static str)] = &[$((Self::$kind, $what)),+];

            /// Returns its name, as `EMAIL`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name),+ }
            }
        }
    };
}

kinds! {
    Email "EMAIL" "An e-mail address.",
    Phone "PHONE" "A telephone number, international or national.",
    Person "PERSON" "A person's name.",
    Location "LOCATION" "A place: town, region, country.",
    Address "ADDRESS" "A postal address, or the part of it with street and number.",
    CreditCard "CREDIT_CARD" "A payment card's number.",
    Iban "IBAN" "An international bank account number.",
    BankAccount "BANK_ACCOUNT" "A bank account by national rules: account, routing and sort codes, BIC.",
    IpAddress "IP_ADDRESS" "An IPv4 or IPv6 address.",
    MacAddress "MAC_ADDRESS" "A hardware address.",
    Url "URL" "A URL that carries credentials.",
    DateOfBirth "DATE_OF_BIRTH" "A date of birth.",
    NationalId "NATIONAL_ID" "A person's number in a national register.",
    TaxId "TAX_ID" "A tax or company number.",
    Passport "PASSPORT" "A passport's number.",
    DriverLicense "DRIVER_LICENSE" "A driving licence's number.",
    Vehicle "VEHICLE" "A vehicle's plate or identification number.",
    CryptoAddress "CRYPTO_ADDRESS" "A cryptocurrency address.",
    Coordinates "COORDINATES" "Geographical coordinates.",
    Username "USERNAME" "A user's name on a service.",
    Password "PASSWORD" "A password.",
    Secret "SECRET" "An API key, token or other secret; `rule` names its format.",
    CustomerId "CUSTOMER_ID" "The number of a customer, a patient, a member or a policy.",
    PrivateKey "PRIVATE_KEY" "A private key.",
    Jwt "JWT" "A JSON Web Token.",
}

impl Label {
    /// Returns its name, as `EMAIL`.
    pub fn name(&self) -> &str {
        match self {
            Self::Known(kind) => kind.name(),
            Self::Custom(name) => name,
        }
    }

    /// Returns the label with this name: a built-in one, or a custom one.
    pub fn from_name(name: &str) -> Self {
        match Kind::ALL.iter().find(|(kind, _)| kind.name() == name) {
            Some((kind, _)) => Self::Known(*kind),
            None => Self::Custom(name.into()),
        }
    }
}

impl From<Kind> for Label {
    fn from(kind: Kind) -> Self {
        Self::Known(kind)
    }
}

impl Serialize for Label {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A found value: its place, and the reason for the finding. It does not hold the value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Finding {
    /// Offset of its first byte.
    pub start: usize,
    /// Offset after its last byte.
    pub end: usize,
    /// The kind of the value.
    pub label: Label,
    /// The detector or format that found it, as `pesel` or `github_token`.
    pub rule: Cow<'static, str>,
    /// Confidence in percent, serialized as a fraction of 1.
    #[serde(serialize_with = "as_share")]
    pub confidence: u8,
    /// The country that issues the number, by ISO 3166 code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<Cow<'static, str>>,
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde hands it so
fn as_share<S: serde::Serializer>(percent: &u8, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(f64::from(*percent) / 100.0)
}

impl Finding {
    /// Creates a finding of a built-in detector.
    pub(crate) fn new(
        start: usize,
        end: usize,
        kind: Kind,
        rule: impl Into<Cow<'static, str>>,
        confidence: u8,
    ) -> Self {
        Self {
            start,
            end,
            label: kind.into(),
            rule: rule.into(),
            confidence,
            country: None,
        }
    }

    /// Returns true if a custom rule found it.
    pub(crate) fn is_custom(&self) -> bool {
        self.rule.starts_with("custom:")
    }

    /// Returns true if this finding takes precedence over an overlapping one: by confidence, then
    /// by length, then by the earlier start.
    pub(crate) fn beats(&self, other: &Self) -> bool {
        let rank = |f: &Self| (f.confidence, f.end - f.start, usize::MAX - f.start);
        rank(self) > rank(other)
    }

    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}
