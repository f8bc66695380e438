//! What every backend must do, as tests that any backend can run.
