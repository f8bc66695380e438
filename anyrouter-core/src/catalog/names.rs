//! Names as callers write them: `provider/model`, bare names, variants, suffixes, presets.

use super::Catalog;

/// A variant that a name may end in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Variant {
    /// `:free`: only endpoints that cost nothing.
    Free,
    /// `:floor`: the cheapest first.
    Floor,
    /// `:nitro`: the highest throughput first.
    Nitro,
}

/// A model's name, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelName<'a> {
    /// The name without what follows it.
    pub base: &'a str,
    /// `:free`, `:floor` or `:nitro`.
    pub variant: Option<Variant>,
    /// The floor on context of a `[1m]`-style suffix, in tokens.
    pub min_context: Option<u64>,
    /// The preset of `@preset/slug` or `model@preset/slug`.
    pub preset: Option<&'a str>,
}

impl<'a> ModelName<'a> {
    /// Takes `name` apart. A name that the catalog has as it stands is not taken apart.
    pub fn parse(name: &'a str, catalog: &Catalog) -> Self {
        let mut it = Self { base: name, variant: None, min_context: None, preset: None };
        if catalog.find(name).is_some() {
            return it;
        }
        if let Some((base, preset)) = name.split_once("@preset/") {
            (it.base, it.preset) = (base, Some(preset));
        }
        if let Some((base, suffix)) = it.base.strip_suffix(']').and_then(|n| n.rsplit_once('['))
            && let Some(tokens) = tokens(suffix)
        {
            (it.base, it.min_context) = (base, Some(tokens));
        }
        if let Some((base, variant)) = it.base.rsplit_once(':') {
            let variant = match variant {
                "free" => Some(Variant::Free),
                "floor" => Some(Variant::Floor),
                "nitro" => Some(Variant::Nitro),
                _ => None,
            };
            if variant.is_some() {
                (it.base, it.variant) = (base, variant);
            }
        }
        it
    }
}

impl Catalog {
    /// The models that a virtual name stands for, as places in [`models`](Self::models). A name without a list stands for all:
    /// `anyrouter/latest` for the newest first, any other in the catalog's order.
    ///
    /// Those of its list come first, then all others: a model that an operator added is asked as well. What plays a provider in the
    /// process itself is not among them: an echo must not pass for an answer.
    pub fn expand(&self, virtual_model: &super::VirtualModel) -> Vec<usize> {
        let mut out: Vec<usize> = virtual_model.models.iter().filter_map(|m| self.find(m.as_str())).collect();
        let is_real = |i: &usize| {
            self.models()
                .get(*i)
                .is_some_and(|m| self.endpoints_of(m).iter().any(|e| e.addresses.iter().any(|a| !a.base_url.starts_with("demo:"))))
        };
        let mut others: Vec<usize> = (0..self.models().len()).filter(|i| !out.contains(i)).filter(is_real).collect();
        if virtual_model.id.as_str().ends_with("/latest") {
            others.sort_by_key(|i| std::cmp::Reverse(self.models().get(*i).and_then(|m| m.created)));
        }
        out.extend(others);
        out
    }

    /// Up to three ids that a misspelt `name` may mean, the nearest first.
    pub fn near(&self, name: &str) -> Vec<&str> {
        let wanted = normalise(name);
        let bare = wanted.rsplit('/').next().unwrap_or_default();
        let mut found: Vec<(usize, &str)> = self
            .models()
            .iter()
            .filter_map(|m| {
                let id = normalise(m.id.as_str());
                let slug = id.rsplit('/').next().unwrap_or_default();
                let distance = edit_distance(&wanted, &id).min(edit_distance(bare, slug));
                let near = distance <= 2.max(bare.len() / 4) || (bare.len() >= 3 && slug.contains(bare));
                near.then(|| (distance, m.id.as_str()))
            })
            .collect();
        found.sort_unstable();
        found.into_iter().take(3).map(|(_, id)| id).collect()
    }
}

/// A provider's name as it is compared: letters and digits in lower case, and `/`.
pub fn normalise(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric() || *c == '/').flat_map(char::to_lowercase).collect()
}

fn tokens(suffix: &str) -> Option<u64> {
    let lower = suffix.to_ascii_lowercase();
    let (digits, unit) = match lower.strip_suffix('m') {
        Some(digits) => (digits, 1_000_000),
        None => (lower.strip_suffix('k')?, 1000),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Levenshtein's distance, of names cut at 80 characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(80).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().take(80).enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let here = (diagonal + usize::from(x != *y)).min(left + 1).min(*cell + 1);
            diagonal = std::mem::replace(cell, here);
            left = here;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Document;

    fn catalog() -> Catalog {
        let toml = r#"
            [[provider]]
            slug = "p"
            protocol = "openai_chat"
            base_url = "http://x"
            [[model]]
            id = "lab/small"
            aliases = ["odd:free"]
            [[model.endpoint]]
            provider = "p"
        "#;
        Catalog::from_documents(&[Document::from_toml(toml).unwrap()]).unwrap()
    }

    #[test]
    fn a_name_is_taken_apart() {
        let catalog = catalog();
        let name = ModelName::parse("lab/small:nitro[1m]@preset/mine", &catalog);
        assert_eq!((name.base, name.variant), ("lab/small", Some(Variant::Nitro)));
        assert_eq!((name.min_context, name.preset), (Some(1_000_000), Some("mine")));
        assert_eq!(ModelName::parse("@preset/mine", &catalog).base, "");
        assert_eq!(ModelName::parse("lab/other:8b", &catalog).base, "lab/other:8b");
    }

    #[test]
    fn a_name_that_the_catalog_has_is_left_whole() {
        assert_eq!(ModelName::parse("odd:free", &catalog()).variant, None);
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        assert_eq!(catalog().near("lab/smal"), ["lab/small"]);
        assert_eq!(catalog().near("smll"), ["lab/small"]);
        assert!(catalog().near("entirely-else").is_empty());
    }

    #[test]
    fn display_names_and_slugs_are_compared_alike() {
        assert_eq!(normalise("Z.AI"), normalise("z-ai"));
        assert_eq!(normalise("DeepInfra/Turbo"), "deepinfra/turbo");
    }
}
