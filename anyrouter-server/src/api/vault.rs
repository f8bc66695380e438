//! API of the key ring, for the operator: its state, and the rotation of the master key.

use anyrouter_core::{account::Caller, ports::StoreError, wire::error::ApiError};
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{
    app::{App, RingStatus},
    auth::{Auth, ReadVault, WriteVault},
    respond::{Data, Error},
    routes::Shared,
};

/// The state of the key ring.
#[derive(Serialize, JsonSchema)]
pub(super) struct Vault {
    /// The place of the ring.
    place: String,
    /// The master keys; the last is the current one.
    master_keys: Vec<MasterKey>,
    rotation: Rotation,
}

#[derive(Serialize, JsonSchema)]
struct MasterKey {
    id: String,
    current: bool,
    /// Accounts whose keys are sealed under it.
    accounts: u64,
}

/// The last rotation since the start.
#[derive(Serialize, JsonSchema)]
struct Rotation {
    running: bool,
    /// Accounts whose keys were sealed anew.
    done: u64,
    /// Accounts whose keys were sealed under older master keys when it began.
    total: u64,
    /// Why it broke off; POST /vault/rotate begins another.
    failed: Option<String>,
}

impl From<RingStatus> for Vault {
    fn from(status: RingStatus) -> Self {
        let last = status.masters.last().map(|(id, _)| *id);
        let master = |(id, accounts)| MasterKey {
            id: format!("{id}"),
            current: Some(id) == last,
            accounts,
        };
        Self {
            place: status.place,
            master_keys: status.masters.into_iter().map(master).collect(),
            rotation: Rotation {
                running: status.is_rotating,
                done: status.done,
                total: status.total,
                failed: status.failed,
            },
        }
    }
}

/// Refuses all accounts but the first, which is the operator's.
async fn operator(app: &App, caller: &Caller) -> Result<(), Error> {
    let first = app.accounts.first_account().await?;
    if first.is_some_and(|first| first.id == caller.key.account) {
        return Ok(());
    }
    let message =
        "only the operator's account, which is the first one, may see and rotate the key ring";
    Err(ApiError::new(403, "not_the_operator", message).into())
}

pub(super) async fn status(
    caller: Auth<ReadVault>,
    State(app): Shared,
) -> Result<Data<Vault>, Error> {
    operator(&app, &caller).await?;
    let data = app.custody.status().await?.into();
    Ok(Data { data })
}

/// Begins a rotation, and returns the state.
pub(super) async fn rotate(
    caller: Auth<WriteVault>,
    State(app): Shared,
) -> Result<Data<Vault>, Error> {
    operator(&app, &caller).await?;
    match app.custody.clone().rotate() {
        Ok(()) => {}
        Err(StoreError::Busy(_)) => {
            let message = "a rotation is running; GET /api/v1/vault shows its progress";
            return Err(ApiError::new(409, "rotation_running", message).into());
        }
        Err(StoreError::Unavailable(why)) => {
            let message = format!("the master key was not rotated: {why}");
            return Err(ApiError::new(409, "ring_not_ours", message).into());
        }
        Err(e) => return Err(e.into()),
    }
    let data = app.custody.status().await?.into();
    Ok(Data { data })
}
