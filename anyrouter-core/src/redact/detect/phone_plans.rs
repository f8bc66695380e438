//! Telephone plans by country: the metadata of libphonenumber from the `phonenumber` crate
//! (`redact/phones.tsv`; a test keeps both equal). Each pattern is compiled on first use.

use std::{collections::HashMap, sync::OnceLock};

use regex::bytes::{Regex, RegexBuilder};

/// A country's plan.
#[derive(Debug)]
struct Plan {
    region: &'static str,
    /// The prefix of a national number when dialled within the country.
    trunk: &'static str,
    pattern: &'static str,
    regex: OnceLock<Option<Regex>>,
}

/// All plans.
#[derive(Debug)]
pub(crate) struct Phones {
    by_code: HashMap<u32, Vec<Plan>, foldhash::fast::FixedState>,
    codes: HashMap<&'static str, u32, foldhash::fast::FixedState>,
}

impl Plan {
    fn fits(&self, national: &[u8]) -> bool {
        let regex = self.regex.get_or_init(|| {
            RegexBuilder::new(&format!("^(?:{})$", self.pattern))
                .unicode(false)
                .build()
                .ok()
        });
        regex.as_ref().is_some_and(|r| r.is_match(national))
    }

    fn is_national(&self, digits: &[u8]) -> bool {
        let trunk = !self.trunk.is_empty();
        trunk
            && digits
                .strip_prefix(self.trunk.as_bytes())
                .is_some_and(|d| self.fits(d))
            || (!trunk || self.trunk == "1") && self.fits(digits)
            || self.fits(digits) && digits.len() >= 8
    }
}

/// Countries whose national numbers count without a word beside them, if they are written like
/// phone numbers.
const ANYWHERE: [&str; 25] = [
    "GB", "DE", "FR", "IT", "ES", "NL", "BE", "CH", "AT", "SE", "DK", "NO", "FI", "PL", "PT", "AU",
    "NZ", "JP", "KR", "CN", "IN", "TH", "TR", "RO", "RU",
];

impl Phones {
    pub(crate) fn builtin() -> Self {
        let mut it = Self {
            by_code: HashMap::default(),
            codes: HashMap::default(),
        };
        for line in include_str!("../../../redact/phones.tsv")
            .lines()
            .filter(|l| !l.starts_with('#'))
        {
            let columns: Vec<&'static str> = line.split('\t').collect();
            let [region, code, trunk, pattern] = columns.as_slice() else {
                continue;
            };
            let Ok(code) = code.parse() else { continue };
            it.codes.insert(region, code);
            it.by_code.entry(code).or_default().push(Plan {
                region,
                trunk,
                pattern,
                regex: OnceLock::new(),
            });
        }
        it
    }

    /// Returns true if digits with a country code, without `+`, are a number of that country.
    pub(crate) fn is_international(&self, digits: &[u8]) -> bool {
        (1..=3).any(|n| {
            let Some((code, national)) = digits.split_at_checked(n) else {
                return false;
            };
            let code = code.iter().fold(0, |c, d| c * 10 + u32::from(d - b'0'));
            let Some(plans) = self.by_code.get(&code) else {
                return false;
            };
            // `+44 (0)20 …`: the trunk prefix may stand after the country code.
            plans.iter().any(|p| {
                p.fits(national)
                    || (!p.trunk.is_empty()
                        && national
                            .strip_prefix(p.trunk.as_bytes())
                            .is_some_and(|n| p.fits(n)))
            })
        })
    }

    /// Returns true if digits are a number of this country as dialled within it.
    pub(crate) fn is_national(&self, region: &str, digits: &[u8]) -> bool {
        let plans = self.codes.get(region).and_then(|c| self.by_code.get(c));
        plans.is_some_and(|plans| {
            plans
                .iter()
                .any(|p| p.region == region && p.is_national(digits))
        })
    }

    /// Returns true if digits are a national number in one of the larger countries.
    pub(crate) fn is_national_anywhere(&self, digits: &[u8]) -> bool {
        ANYWHERE
            .iter()
            .any(|region| self.is_national(region, digits))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn the_table_is_the_metadata_of_the_phonenumber_crate() {
        let mut rows: Vec<_> = phonenumber::metadata::DATABASE
            .iter()
            .map(|m| {
                let pattern: String = m
                    .descriptors()
                    .general()
                    .national_number()
                    .as_str()
                    .split_whitespace()
                    .collect();
                (
                    m.id().to_owned(),
                    m.country_code(),
                    m.national_prefix().unwrap_or_default().to_owned(),
                    pattern,
                )
            })
            .collect();
        rows.sort();
        let mut table = "# region\tcalling code\ttrunk prefix\tnational number\n".to_owned();
        for (region, code, trunk, pattern) in rows {
            writeln!(table, "{region}\t{code}\t{trunk}\t{pattern}").unwrap();
        }
        let known = include_str!("../../../redact/phones.tsv");
        assert!(
            known == table,
            "redact/phones.tsv is another table; it must be:\n{table}"
        );
    }

    #[test]
    fn numbers_are_told_by_their_countrys_plan() {
        let phones = Phones::builtin();
        for good in [
            "14155552671",
            "442079460958",
            "4930901820",
            "66812345678",
            "4402079460958",
        ] {
            assert!(phones.is_international(good.as_bytes()), "{good}");
        }
        for bad in ["1415555267", "99912345678", "49"] {
            assert!(!phones.is_international(bad.as_bytes()), "{bad}");
        }
        assert!(phones.is_national("GB", b"02079460958") && !phones.is_national("GB", b"123"));
    }
}
