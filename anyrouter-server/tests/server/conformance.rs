//! The suites of the core's ports, on SQLite and the journal.

use std::sync::Arc;

use anyrouter_core::{
    account::KeyRecord,
    ids::AccountId,
    policy::{Settings, SettingsPatch},
    ports::conformance::{self, DirectoryFixture},
    time::Timestamp,
};
use anyrouter_server::{
    journal::{Durability, JournalLog, Options},
    storage::{Account, Database},
};

struct InDatabase(Database);

#[async_trait::async_trait]
impl DirectoryFixture for InDatabase {
    async fn put_key(&self, key: KeyRecord) {
        let changed = key.clone();
        if self.0.change_key(key.hash, |record| *record = changed).await.unwrap().is_none() {
            self.0.add_key(key).await.unwrap();
        }
    }

    async fn put_settings(&self, account: &AccountId, settings: Settings) {
        self.0.change_settings(account.clone(), SettingsPatch::from(settings)).await.unwrap();
    }
}

#[tokio::test]
async fn sqlite_conforms_as_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let (database, _) = Database::open(folder.path()).unwrap();
    let account = Account { id: "acc_a".into(), settings: Settings::default() };
    database.create_account(account, Timestamp::default(), Vec::new()).await.unwrap();
    conformance::directory(&database, &InDatabase(database.clone())).await;
}

#[tokio::test]
async fn the_journal_conforms_as_a_usage_log_at_every_durability() {
    for durability in [Durability::ProcessCrash, Durability::PowerLoss, Durability::Async] {
        let folder = tempfile::tempdir().unwrap();
        let (database, table) = Database::open(folder.path()).unwrap();
        let options = Options { durability, slots: 100 };
        let log = JournalLog::open(&folder.path().join("usage"), database, table, options, Timestamp::default(), |_| {}).unwrap();
        let log = Arc::new(log);
        conformance::usage_log(log.clone()).await;
        log.close();
    }
}
