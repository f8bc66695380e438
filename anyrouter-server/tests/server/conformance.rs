//! The suites of the core's ports, on SQLite and the journal.

use std::{future::poll_fn, sync::Arc};

use anyrouter_core::{
    catalog::Protocol,
    gateway::Slot,
    ids::{AccountId, RequestId},
    key::{ApiKey, KeyKind},
    ports::{LogQuery, UsageLog as _, conformance},
    time::Timestamp,
    usage::{Opening, Outcome, Record},
};
use anyrouter_server::{
    journal::{Durability, JournalLog, Options},
    storage::Database,
};

#[tokio::test]
async fn sqlite_conforms_as_a_store_of_accounts() {
    let folder = tempfile::tempdir().unwrap();
    let (database, _) = Database::open(folder.path(), &mut |_| {}).unwrap();
    conformance::accounts(&database).await;
}

#[tokio::test]
async fn sqlite_conforms_as_a_store_of_what_is_sealed() {
    let folder = tempfile::tempdir().unwrap();
    let (database, _) = Database::open(folder.path(), &mut |_| {}).unwrap();
    conformance::sealed_store(&database).await;
}

#[tokio::test]
async fn the_journal_conforms_as_a_usage_log_at_every_durability() {
    for durability in [
        Durability::ProcessCrash,
        Durability::PowerLoss,
        Durability::Async,
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (database, table) = Database::open(folder.path(), &mut |_| {}).unwrap();
        let options = Options {
            durability,
            slots: 100,
            ..Options::default()
        };
        let log = JournalLog::open(
            &folder.path().join("usage"),
            database,
            table,
            options,
            Timestamp::default(),
            |_| {},
        )
        .unwrap();
        let log = Arc::new(log);
        conformance::usage_log(log.clone()).await;
        log.close();
    }
}

/// Segments are left and dropped while records are written and read: each record is there at once,
/// stays, and is there once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn segments_that_change_under_load_lose_and_double_nothing() {
    const EACH: u32 = 400;
    let folder = tempfile::tempdir().unwrap();
    let usage = folder.path().join("usage");
    for durability in [Durability::ProcessCrash, Durability::PowerLoss] {
        let (database, table) = Database::open(folder.path(), &mut |_| {}).unwrap();
        let options = Options {
            durability,
            segment: 32 << 10,
            ..Options::default()
        };
        let log = Arc::new(
            JournalLog::open(
                &usage,
                database,
                table,
                options,
                Timestamp::default(),
                |_| {},
            )
            .unwrap(),
        );
        let account = AccountId::from("acc_a");
        let write = |task: u8| {
            let (log, account) = (log.clone(), account.clone());
            async move {
                for n in 0..EACH {
                    let at = Timestamp::from_millis(1_800_000_000_000 + u64::from(n));
                    let id =
                        RequestId::new(at, [task, durability as u8, 0, 0, (n >> 8) as u8, n as u8]);
                    let key_hash = ApiKey::from_random(KeyKind::Inference, [task; 32]).hash();
                    let opening = Opening {
                        id,
                        account: account.clone(),
                        key_hash,
                        at,
                        ip: None,
                        inbound: Protocol::Chat,
                        model_requested: None,
                        endpoint: None,
                    };
                    let mut slot = Slot::take(log.clone(), opening.clone()).await.unwrap();
                    if n % 50 == 0 {
                        // Long enough for an open entry, which a new segment must take over.
                        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                    }
                    let mut record = Record::opened(opening);
                    record.outcome = Outcome::Ok;
                    slot.fill(&record);
                    let _committed = poll_fn(|cx| slot.poll_committed(cx)).await.unwrap();
                    assert_eq!(
                        log.find(&account, id).await.unwrap().map(|r| r.outcome),
                        Some(Outcome::Ok),
                        "what is committed is there"
                    );
                }
            }
        };
        let writers: Vec<_> = (0..4).map(|task| tokio::spawn(write(task))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
        let closing = log.clone();
        tokio::task::spawn_blocking(move || closing.close())
            .await
            .unwrap();
        let segments: Vec<_> = std::fs::read_dir(&usage)
            .unwrap()
            .flatten()
            .map(|e| e.file_name())
            .collect();
        assert_eq!(
            segments.len(),
            1,
            "what is imported is dropped: {segments:?}"
        );
        assert!(
            segments[0].to_str().unwrap() > "journal-000000000005",
            "and there were several: {segments:?}"
        );
        let all = log
            .list(
                &account,
                &LogQuery {
                    limit: usize::MAX,
                    ..LogQuery::default()
                },
            )
            .await
            .unwrap();
        assert!(all.iter().all(|r| r.outcome == Outcome::Ok));
        assert_eq!(
            all.len() as u32,
            4 * EACH * (1 + u32::from(durability == Durability::PowerLoss)),
            "each once"
        );
    }
}
