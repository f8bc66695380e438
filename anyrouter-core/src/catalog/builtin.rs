//! The catalog that ships with the crate: data files beside the source, each fact with its source
//! and date.

use super::{CatalogError, Document};

/// The built-in document: the providers that P27 names and more, with their main models.
pub fn builtin() -> Result<Document, CatalogError> {
    let mut document = Document::from_toml(include_str!("../../catalog/providers.toml"))?;
    let models = Document::from_toml(include_str!("../../catalog/models.toml"))?;
    document.model = models.model;
    document.virtuals = models.virtuals;
    Ok(document)
}
