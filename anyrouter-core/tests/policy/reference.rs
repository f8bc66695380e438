//! The policy once more, as plainly as it can be said: one endpoint, one layer, one sentence at a
//! time, from the written facts. It shares nothing with the engine but the words.

use serde_json::Value;

/// An endpoint's facts as the catalog's document writes them: `terms`, `tier`, `price`, `provider`,
/// `model`.
pub(crate) fn admits(layer: &Value, endpoint: &Value) -> bool {
    let terms = &endpoint["terms"];
    let says_no = |fact: &str| terms[fact] == Value::Bool(false);

    // Which terms speak of this traffic?
    let charged = ["prompt", "completion"].iter().any(|p| {
        endpoint["price"][p]
            .as_str()
            .is_some_and(|t| t.parse::<f64>().unwrap() > 0.0)
    });
    let surely_paid = endpoint["tier"] == "paid" && charged;
    let surely_free = endpoint["tier"] == "free";

    if layer["allow_training_paid"] == false && !surely_free && !says_no("trains_on_paid") {
        return false;
    }
    if layer["allow_training_free"] == false && !surely_paid && !says_no("trains_on_free") {
        return false;
    }
    if layer["allow_publication"] == false && !surely_paid {
        let publishes = match terms["publishes_free"].as_bool() {
            Some(known) => known,
            None => !says_no("trains_on_free"),
        };
        if publishes {
            return false;
        }
    }
    let zdr = terms["zdr"] == "default" || terms["zdr"] == true;
    if layer["enforce_zdr"] == true && !zdr {
        return false;
    }
    if let Some(most) = layer["max_retention_days"].as_u64() {
        let days = terms["retention_days"].as_u64().or(zdr.then_some(0));
        if days.is_none_or(|d| d > most) {
            return false;
        }
    }
    if let Some(allowed) = layer["regions"].as_array() {
        let regions = terms["regions"].as_array().cloned().unwrap_or_default();
        if regions.is_empty()
            || regions[0] == "global"
            || regions.iter().any(|r| !allowed.contains(r))
        {
            return false;
        }
    }
    let provider = endpoint["provider"].as_str().unwrap();
    let base = provider.split('/').next().unwrap();
    let names = |list: &Value| {
        list.as_array()
            .unwrap()
            .iter()
            .any(|n| n == provider || n == base)
    };
    if layer["block"].is_array() && names(&layer["block"]) {
        return false;
    }
    if layer["allow"].is_array() && !names(&layer["allow"]) {
        return false;
    }
    let is_model = |list: &Value| {
        let author = format!(
            "{}/*",
            endpoint["model"]
                .as_str()
                .unwrap()
                .split('/')
                .next()
                .unwrap()
        );
        list.as_array()
            .unwrap()
            .iter()
            .any(|m| *m == endpoint["model"] || *m == author.as_str())
    };
    if layer["block_models"].is_array() && is_model(&layer["block_models"]) {
        return false;
    }
    if layer["allow_models"].is_array() && !is_model(&layer["allow_models"]) {
        return false;
    }
    true
}
