//! Model and provider names in requests: `provider/model`, bare names, variants, suffixes, presets.

use super::Catalog;

/// A variant at the end of a model's name.
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

/// The parsed parts of a model's name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModelName<'a> {
    /// The name without its suffixes.
    pub base: &'a str,
    /// `:free`, `:floor` or `:nitro`.
    pub variant: Option<Variant>,
    /// Minimum context length from a `[1m]`-style suffix, in tokens.
    pub min_context: Option<u64>,
    /// The preset of `@preset/slug` or `model@preset/slug`.
    pub preset: Option<&'a str>,
}

impl<'a> ModelName<'a> {
    /// Parses `name`. A name that is in the catalog as a whole is not split.
    pub fn parse(name: &'a str, catalog: &Catalog) -> Self {
        let name = name.trim();
        let mut it = Self {
            base: name,
            variant: None,
            min_context: None,
            preset: None,
        };
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
    /// Returns the models that a virtual name stands for, as indices into [`models`](Self::models).
    /// A name without a list stands for all models: `anyrouter/latest` in order of publication, the
    /// newest first; any other in the catalog's order.
    ///
    /// The models of its list come first, then all others, so that models which the operator added
    /// are included. Models that only the in-process demo serves are not added: its echo must not
    /// pass for an answer.
    pub fn expand(&self, virtual_model: &super::VirtualModel) -> Vec<usize> {
        let mut out: Vec<usize> = virtual_model
            .models
            .iter()
            .filter_map(|m| self.find(m.as_str()))
            .collect();
        let is_real = |i: &usize| {
            self.models().get(*i).is_some_and(|m| {
                self.endpoints_of(m)
                    .iter()
                    .any(|e| e.addresses.iter().any(|a| !a.base_url.starts_with("demo:")))
            })
        };
        let mut others: Vec<usize> = (0..self.models().len())
            .filter(|i| !out.contains(i))
            .filter(is_real)
            .collect();
        if virtual_model.id.as_str().ends_with("/latest") {
            others
                .sort_by_key(|i| std::cmp::Reverse(self.models().get(*i).and_then(|m| m.created)));
        }
        out.extend(others);
        out
    }

    /// Returns up to three ids that a misspelt `name` may mean, the nearest first.
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
                let near =
                    distance <= 2.max(bare.len() / 4) || (bare.len() >= 3 && slug.contains(bare));
                near.then(|| (distance, m.id.as_str()))
            })
            .collect();
        found.sort_unstable();
        found.into_iter().take(3).map(|(_, id)| id).collect()
    }
}

/// Result of looking up a name of a provider list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedProvider<'a> {
    /// A provider in the catalog.
    Known,
    /// Not in the catalog; probably a misspelling of this provider.
    Near(&'a str),
    /// Not in the catalog.
    Unknown,
}

impl Catalog {
    /// Looks up a name of a provider list.
    pub fn named_provider(&self, name: &str) -> NamedProvider<'_> {
        let wanted = normalise(name);
        let wanted = wanted.trim_matches('/');
        let is_known = self
            .providers()
            .iter()
            .any(|p| normalise(p.slug.as_str()) == wanted || normalise(&p.name) == wanted)
            || self
                .endpoints()
                .iter()
                .any(|e| e.provider_names.contains(wanted));
        if is_known {
            return NamedProvider::Known;
        }
        let length = wanted.chars().count();
        let near = self.providers().iter().flat_map(|p| {
            [p.slug.as_str(), &p.name]
                .map(|name| (edit_distance(wanted, &normalise(name)), p.slug.as_str()))
        });
        // Short names are similar to many others, so less difference is allowed.
        match near
            .min()
            .filter(|(distance, _)| *distance <= 2 && *distance < length.div_ceil(2))
        {
            Some((_, slug)) => NamedProvider::Near(slug),
            None => NamedProvider::Unknown,
        }
    }
}

/// Normalises a provider's name: letters and digits in lower case, and `/`.
pub fn normalise(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric() || *c == '/')
        .flat_map(char::to_lowercase)
        .collect()
}

fn tokens(suffix: &str) -> Option<u64> {
    let lower = suffix.to_ascii_lowercase();
    let (digits, unit) = match lower.strip_suffix('m') {
        Some(digits) => (digits, 1_000_000),
        None => (lower.strip_suffix('k')?, 1000),
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

/// Normalises the spelling of a model's name: lower case, hyphens for points, without OpenRouter's
/// `~`.
pub(super) fn spelling(name: &str) -> String {
    name.trim()
        .trim_start_matches('~')
        .to_ascii_lowercase()
        .replace('.', "-")
}

/// Removes the date at the end of a name: `-20250929`, `-2025-09-29`.
fn undated(name: &str) -> Option<&str> {
    let is_year = |text: &str| text.len() == 4 && text.starts_with("20");
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    let (rest, last) = name.rsplit_once('-')?;
    if last.len() == 8 && digits(last) && last.starts_with("20") {
        return Some(rest);
    }
    let (rest, month) = rest.rsplit_once('-')?;
    let (rest, year) = rest.rsplit_once('-')?;
    let is_date = last.len() == 2
        && month.len() == 2
        && is_year(year)
        && [last, month, year].into_iter().all(digits);
    is_date.then_some(rest)
}

/// Returns the version of `name` in the family `stem`: the numbers after the stem; `None` if
/// anything else follows it.
fn version(name: &str, stem: &str) -> Option<Vec<u64>> {
    let rest = name.strip_prefix(stem)?.strip_prefix('-')?;
    rest.split('-').map(|part| part.parse().ok()).collect()
}

impl Catalog {
    /// Returns the model with this id, alias or bare name, as an index into
    /// [`models`](Self::models). Other spellings match too: OpenRouter's (`claude-sonnet-4.6` for
    /// `claude-sonnet-4-6`), dated names, and `…-latest` for the newest of a family.
    pub fn find(&self, name: &str) -> Option<usize> {
        let known = |name: &str| self.spellings.get(name).copied();
        let name = name.trim();
        let exact = self.names.get(name).copied();
        exact.or_else(|| {
            let spelt = spelling(name);
            let dated = || undated(&spelt).and_then(known);
            known(&spelt).or_else(dated).or_else(|| {
                let stem = spelt.strip_suffix("-latest")?;
                known(stem).or_else(|| self.newest(stem))
            })
        })
    }

    /// Returns the model with the highest version of a family.
    fn newest(&self, stem: &str) -> Option<usize> {
        let of_family = |(name, model): (&String, &usize)| {
            Some((version(name, stem)?, std::cmp::Reverse(*model)))
        };
        // A date counts as a version only if no name has another version.
        let is_date = |v: &[u64]| v.iter().any(|n| *n >= 1_000_000);
        let all: Vec<_> = self.spellings.iter().filter_map(of_family).collect();
        let best = all
            .iter()
            .filter(|(v, _)| !is_date(v))
            .max()
            .or_else(|| all.iter().max());
        best.map(|(_, model)| model.0)
    }
}

/// Returns the edit distance (optimal string alignment) of two names, cut at 80 characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(80).collect(), b.chars().take(80).collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: usize, column: usize| {
                rows.get(row)
                    .and_then(|r| r.get(column))
                    .copied()
                    .unwrap_or(usize::MAX / 2)
            };
            let left = row.last().copied().unwrap_or_default();
            let mut least = (at(i, j) + usize::from(x != y))
                .min(at(i, j + 1) + 1)
                .min(left + 1);
            let is_swap = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if is_swap {
                least = least.min(at(i - 1, j - 1) + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows.last()
        .and_then(|r| r.last())
        .copied()
        .unwrap_or_default()
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
        assert_eq!(
            (name.base, name.variant),
            ("lab/small", Some(Variant::Nitro))
        );
        assert_eq!(
            (name.min_context, name.preset),
            (Some(1_000_000), Some("mine"))
        );
        assert_eq!(ModelName::parse("@preset/mine", &catalog).base, "");
        assert_eq!(
            ModelName::parse("lab/other:8b", &catalog).base,
            "lab/other:8b"
        );
    }

    #[test]
    fn a_name_that_the_catalog_has_is_left_whole() {
        assert_eq!(ModelName::parse("odd:free", &catalog()).variant, None);
    }

    #[test]
    fn other_spellings_of_a_name_find_its_model() {
        let models: String = [
            "claude-sonnet-4-5",
            "claude-sonnet-4-6",
            "claude-sonnet-10",
            "claude-sonnet-mini-11",
            "gpt-4.1",
        ]
        .iter()
        .map(|m| format!("[[model]]\nid = \"lab/{m}\"\n[[model.endpoint]]\nprovider = \"p\"\n"))
        .collect();
        let toml = format!(
            "[[provider]]\nslug = \"p\"\nprotocol = \"openai_chat\"\nbase_url = \"http://x\"\n{models}"
        );
        let catalog = Catalog::from_documents(&[Document::from_toml(&toml).unwrap()]).unwrap();
        let found = |name: &str| {
            catalog.find(name).map(|i| {
                catalog.models()[i]
                    .id
                    .as_str()
                    .trim_start_matches("lab/")
                    .to_owned()
            })
        };
        for (name, model) in [
            ("lab/claude-sonnet-4.6", "claude-sonnet-4-6"),
            ("claude-sonnet-4.6", "claude-sonnet-4-6"),
            ("Lab/Claude-Sonnet-4-6 ", "claude-sonnet-4-6"),
            ("lab/claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
            ("claude-sonnet-4.5-2025-09-29", "claude-sonnet-4-5"),
            ("claude-sonnet-4.5-latest", "claude-sonnet-4-5"),
            ("~lab/claude-sonnet-latest", "claude-sonnet-10"),
            ("claude-sonnet-latest", "claude-sonnet-10"),
            ("gpt-4-1", "gpt-4.1"),
        ] {
            assert_eq!(found(name).as_deref(), Some(model), "{name}");
        }
        for name in [
            "claude-opus-latest",
            "claude-sonnet-4-7",
            "latest",
            "-latest",
            "claude-sonnet-4-6-1234",
        ] {
            assert_eq!(found(name), None, "{name}");
        }
    }

    #[test]
    fn a_misspelt_name_finds_its_neighbour() {
        assert_eq!(catalog().near("lab/smal"), ["lab/small"]);
        assert_eq!(catalog().near("smll"), ["lab/small"]);
        assert!(catalog().near("entirely-else").is_empty());
    }

    #[test]
    fn a_misspelt_provider_is_told_from_an_unknown_one() {
        let toml = "[[provider]]\nslug = \"groq\"\nname = \"Groq\"\n[[provider]]\nslug = \"z-ai\"\nname = \"Z.AI\"\n[[provider]]\nslug = \"deepinfra\"\nname = \"DeepInfra\"";
        let catalog = Catalog::from_documents(&[Document::from_toml(toml).unwrap()]).unwrap();
        for (name, expected) in [
            ("Groq", NamedProvider::Known),
            ("Z.AI", NamedProvider::Known),
            ("gorq", NamedProvider::Near("groq")),
            ("grok", NamedProvider::Near("groq")),
            ("deep-infr", NamedProvider::Near("deepinfra")),
            ("some-provider", NamedProvider::Unknown),
            ("x", NamedProvider::Unknown),
            ("", NamedProvider::Unknown),
        ] {
            assert_eq!(catalog.named_provider(name), expected, "{name}");
        }
    }

    #[test]
    fn display_names_and_slugs_are_compared_alike() {
        assert_eq!(normalise("Z.AI"), normalise("z-ai"));
        assert_eq!(normalise("DeepInfra/Turbo"), "deepinfra/turbo");
    }
}
