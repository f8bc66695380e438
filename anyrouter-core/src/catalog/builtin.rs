//! The built-in catalog: data files in the crate, with a source and a date for each fact.

use super::{CatalogError, Document};

/// The built-in document: the providers that P27 names and more, with their main models.
pub fn builtin() -> Result<Document, CatalogError> {
    let mut document = Document::from_toml(include_str!("../../catalog/providers.toml"))?;
    let models = Document::from_toml(include_str!("../../catalog/models.toml"))?;
    document.model = models.model;
    document.virtuals = models.virtuals;
    Ok(document)
}
