//! Checks for privacy settings without effect and for unknown providers.

use crate::{
    catalog::{Catalog, NamedProvider},
    policy::{ClientMetadata, Settings, SettingsPatch},
};

/// Returns the unknown names in a patch's provider lists: the list, the index in it, the name, and
/// the provider with the most similar name.
pub fn unknown_providers<'a>(
    patch: &SettingsPatch,
    catalog: &'a Catalog,
) -> Vec<(&'static str, usize, String, Option<&'a str>)> {
    let lists = [
        ("block", patch.block.as_ref()),
        ("allow", patch.allow.as_ref().and_then(Option::as_ref)),
    ];
    let all = lists.iter().flat_map(|(list, names)| {
        names
            .iter()
            .flat_map(|n| n.iter())
            .enumerate()
            .map(|(i, name)| (*list, i, name))
    });
    all.filter_map(|(list, i, name)| match catalog.named_provider(name) {
        NamedProvider::Known => None,
        NamedProvider::Near(near) => Some((list, i, name.clone(), Some(near))),
        NamedProvider::Unknown => Some((list, i, name.clone(), None)),
    })
    .collect()
}

/// Returns the message for an unknown provider.
pub fn unknown_provider(list: &str, name: &str, near: Option<&str>) -> String {
    let hint = near.map_or_else(
        || "GET /api/v1/providers lists them".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    format!("`{list}` names `{name}`, and there is no such provider; {hint}")
}

/// Returns the problem of a layer that would let the data of agents pass, which only an account's own
/// setting can.
pub fn passes_client_metadata(patch: &SettingsPatch) -> Option<&'static str> {
    (patch.client_metadata == Some(ClientMetadata::Pass))
        .then_some("only an account's own setting can be `pass`; set `strip`, or leave it out")
}

/// Returns a setting that differs from its default but has no effect yet, and the reason.
pub fn without_effect(patch: &SettingsPatch) -> Option<(&'static str, &'static str)> {
    let defaults = Settings::default();
    let bodies = "this server does not store bodies";
    let differs = [
        (
            "log_bodies",
            patch.log_bodies.is_some_and(|v| v != defaults.log_bodies),
            bodies,
        ),
        (
            "body_retention_days",
            patch
                .body_retention_days
                .is_some_and(|v| v != defaults.body_retention_days),
            bodies,
        ),
        (
            "redact_stored",
            patch
                .redact_stored
                .is_some_and(|v| v != defaults.redact_stored),
            bodies,
        ),
        (
            "metadata_retention_days",
            patch
                .metadata_retention_days
                .is_some_and(|v| v != defaults.metadata_retention_days),
            "this server does not delete usage records by age",
        ),
    ];
    differs
        .into_iter()
        .find(|(_, differs, _)| *differs)
        .map(|(setting, _, why)| (setting, why))
}
