//! The usage record of every accepted request (P02), and the arithmetic of tokens and cost.

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
