//! Progress reports of long operations.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::storage::Progress;

/// Reports the progress of a database migration: as a bar on a terminal, and as lines in a log.
pub(crate) fn migration() -> impl FnMut(Progress) {
    let bar = ProgressBar::hidden();
    let mut said = 0;
    move |Progress {
              done,
              total,
              unreadable,
          }| {
        if done == total && unreadable > 0 {
            eprintln!(
                "anyrouter-server: {unreadable} usage records could not be read, and are kept as they were in the table usage_unreadable"
            );
        }
        if !std::io::stderr().is_terminal() {
            let tenth = done * 10 / total.max(1);
            if tenth > said {
                said = tenth;
                eprintln!("anyrouter-server: usage records get columns: {done} of {total}");
            }
            return;
        }
        if bar.is_hidden() {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.set_message("usage records get columns");
            let style = "{msg} [{wide_bar}] {human_pos} of {human_len}, {eta} left";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
        }
        bar.set_length(total);
        bar.set_position(done);
        if done == total {
            bar.finish();
        }
    }
}
