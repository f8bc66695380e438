//! The usage record (P02): what is kept of every accepted request, and the arithmetic of tokens and
//! cost. Data only.

mod opening;
mod record;
mod row;
mod tokens;

pub use self::{
    opening::Opening,
    record::{Attempt, Outcome, Record},
    row::{Row, RowFault},
    tokens::{Tokens, cost},
};
