//! The policy engine alone: the endpoints of a model that may serve an account's requests, and the
//! reasons against the others.
//!
//! `cargo run --example explain-a-route`

use std::{error::Error, sync::Arc};

use anyrouter_core::{
    catalog::{Catalog, Document, builtin},
    policy::{
        CompiledCatalog, CompiledLayers, Excluded, Layer, Restriction, Settings, evaluate,
        relaxations,
    },
};

fn main() -> Result<(), Box<dyn Error>> {
    // The built-in catalog, and a provider of our own for one of its models.
    let own = Document::from_toml(
        r#"
        [[provider]]
        slug = "house"
        name = "Our own machines"
        protocol = "openai_chat"
        base_url = "http://127.0.0.1:8000/v1"
        terms = { self_hosted = true }

        [[model]]
        id = "openai/gpt-oss-120b"
        [[model.endpoint]]
        provider = "house"
        price = { prompt = "0", completion = "0" }
        "#,
    )?;
    let catalog = CompiledCatalog::new(Arc::new(Catalog::from_documents(&[builtin()?, own])?));
    let model = catalog
        .catalog()
        .find("gpt-oss-120b")
        .ok_or("the catalog has the model")?;

    // An account with the default settings, and a request that asks for zero data retention.
    let layers = CompiledLayers::new(
        Arc::new(catalog),
        vec![(Layer::Account, Settings::default().restriction())],
    );
    let request = [(
        Layer::Request,
        Restriction {
            enforce_zdr: true,
            ..Restriction::default()
        },
    )];
    let decision = evaluate(&layers, &request, model);

    println!("May serve it:");
    for eligible in decision.eligible() {
        println!("  {}", eligible.endpoint().id);
    }
    println!("\nMay not:");
    let mut excluded = Vec::new();
    for (nth, endpoint) in decision.endpoints().iter().enumerate() {
        let reasons = decision.reasons(nth);
        for reason in &reasons {
            println!(
                "  {:32} {:14} set by the {:?}: {}",
                endpoint.id,
                reason.rule.as_str(),
                reason.layer,
                reason.fact
            );
        }
        if !reasons.is_empty() {
            excluded.push(Excluded {
                endpoint: endpoint.id.clone(),
                provider: endpoint.provider.clone(),
                model: endpoint.model.clone(),
                reasons,
            });
        }
    }
    println!("\nChanges that would admit one:");
    for relaxation in relaxations(&excluded) {
        let changes: Vec<String> = relaxation
            .changes
            .iter()
            .map(|c| format!("{} = {}", c.set, c.to))
            .collect();
        println!(
            "  {:32} {} (consent: {:?})",
            relaxation.endpoint,
            changes.join(" and "),
            relaxation.consent
        );
    }
    Ok(())
}
