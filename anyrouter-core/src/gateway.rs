//! The path of one request, over the [ports](crate::ports).
//!
//! Only [`policy::evaluate`](crate::policy::evaluate) admits endpoints, and the last byte of a
//! response waits for [`Committed`].

mod attempt;
mod authenticate;
mod body;
mod dispatch;
mod explain;
mod head;
mod identifiers;
mod load;
mod recorder;
mod redaction;
mod refusal;
mod respond;
mod restoring;
mod serve;
mod signed;
mod slot;
mod state;
mod stream;
mod targets;
mod waiting;

pub use self::{
    authenticate::{Authenticated, authenticate, ip_in},
    body::ResponseBody,
    explain::{Situation, explain},
    head::{Claim, Head},
    identifiers::{Identifiers, check_given_name, is_control},
    load::{HeldMemory, MemoryBudget, MemoryWait},
    respond::{NotAccepted, no_memory},
    slot::{Committed, Slot},
    state::{Deadlines, Gateway, Limits, Ports, WithoutLimiter},
};
