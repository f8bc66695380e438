//! The log on a disk that fails on command: each call of [`Disk`] and [`DiskFile`], what a client
//! is told, what operators see, and that each record is there once when the disk works again.

use std::{
    collections::{BTreeMap, HashMap},
    future::poll_fn,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyrouter_core::{
    catalog::Protocol,
    ids::{AccountId, RequestId},
    key::KeyHash,
    ports::{LogQuery, OpenRequest, StoreError, UsageLog as _, WriteState},
    time::Timestamp,
    usage::{Opening, Outcome, Record},
};

use super::{
    Durability, Import, JournalLog, OpenError, Options, RecordEntry, RecordReader,
    disk::{Disk, DiskFile, FileSystem},
    shared::lock,
};

/// A call that can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Call {
    CreateFolder,
    List,
    Create,
    Open,
    Remove,
    SyncFolder,
    Append,
    ShortAppend,
    Sync,
    Length,
    Read,
}

/// The real file system, until a call is told to fail.
#[derive(Clone, Debug, Default)]
struct FaultyDisk {
    /// How many of the next calls fail.
    failures: Arc<Mutex<HashMap<Call, usize>>>,
    /// A file whose sync fails keeps what it was to bring to disk. A kernel may do that, or drop
    /// it, which is what this disk does otherwise.
    keeps_pages: Arc<AtomicBool>,
    /// Held while syncs are to take their time.
    syncing: Arc<Mutex<()>>,
}

impl FaultyDisk {
    /// The next `times` calls fail.
    fn fail(&self, call: Call, times: usize) {
        lock(&self.failures).insert(call, times);
    }

    fn repair(&self) {
        lock(&self.failures).clear();
    }

    /// How many failures are still to come.
    fn left(&self, call: Call) -> usize {
        lock(&self.failures).get(&call).copied().unwrap_or(0)
    }

    fn call(&self, call: Call) -> io::Result<()> {
        match lock(&self.failures).get_mut(&call) {
            Some(times) if *times > 0 => {
                *times -= 1;
                Err(io::Error::other(format!("{call:?} fails on command")))
            }
            _ => Ok(()),
        }
    }
}

impl Disk for FaultyDisk {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        self.call(Call::CreateFolder)?;
        FileSystem.create_folder(folder)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        self.call(Call::List)?;
        FileSystem.list(folder)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.call(Call::Create)?;
        let file = FileSystem.create(path)?;
        Ok(Arc::new(FaultyFile {
            disk: self.clone(),
            file,
            path: path.to_owned(),
            synced: Mutex::new(0),
        }))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.call(Call::Open)?;
        let file = FileSystem.open(path)?;
        let synced = Mutex::new(file.length()?);
        Ok(Arc::new(FaultyFile {
            disk: self.clone(),
            file,
            path: path.to_owned(),
            synced,
        }))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.call(Call::Remove)?;
        FileSystem.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.call(Call::SyncFolder)?;
        FileSystem.sync_folder(folder)
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    synced: Mutex<u64>,
}

impl DiskFile for FaultyFile {
    fn append(&self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.call(Call::Append)?;
        if self.disk.call(Call::ShortAppend).is_err() {
            return self.file.append(&bytes[..bytes.len() / 2]);
        }
        self.file.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        let mut synced = lock(&self.synced);
        drop(lock(&self.disk.syncing));
        if let Err(e) = self.disk.call(Call::Sync) {
            if self.disk.keeps_pages.load(Ordering::SeqCst) {
                return Err(e);
            }
            let file = std::fs::OpenOptions::new().write(true).open(&self.path)?;
            file.set_len(*synced)?;
            return Err(e);
        }
        *synced = self.file.length()?;
        self.file.sync()
    }

    fn length(&self) -> io::Result<u64> {
        self.disk.call(Call::Length)?;
        self.file.length()
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.disk.call(Call::Read)?;
        self.file.read_at(bytes, offset)
    }
}

/// A database in memory, which can be made to refuse.
#[derive(Clone, Default)]
struct Table {
    rows: Arc<Mutex<BTreeMap<RequestId, Record>>>,
    refuses: Arc<Mutex<bool>>,
    imports: Arc<AtomicUsize>,
}

impl Import for Table {
    fn import(&mut self, records: &[RecordEntry<'_>]) -> Result<(), StoreError> {
        self.imports.fetch_add(1, Ordering::SeqCst);
        if *lock(&self.refuses) {
            return Err(StoreError::Busy("another holds it".to_owned()));
        }
        for record in records {
            let record = record.record().unwrap();
            lock(&self.rows).entry(record.id).or_insert(record);
        }
        Ok(())
    }

    fn set_patience(&mut self, _: Duration) {}
}

#[async_trait::async_trait]
impl RecordReader for Table {
    async fn find(&self, _: &AccountId, id: RequestId) -> Result<Option<Record>, StoreError> {
        Ok(lock(&self.rows).get(&id).cloned())
    }

    async fn list(&self, _: &AccountId, _: &LogQuery) -> Result<Vec<Record>, StoreError> {
        Ok(lock(&self.rows).values().rev().cloned().collect())
    }
}

struct Rig {
    folder: tempfile::TempDir,
    disk: FaultyDisk,
    table: Table,
    log: JournalLog,
}

const ACCOUNT: &str = "acc_1";

impl Rig {
    fn new(durability: Durability) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (disk, table) = (FaultyDisk::default(), Table::default());
        let log = open(&disk, folder.path(), &table, durability).unwrap();
        Self {
            folder,
            disk,
            table,
            log,
        }
    }

    /// The next process: the journal is read again, with nothing in memory.
    fn reopen(self) -> Self {
        let Self {
            folder,
            disk,
            table,
            log,
        } = self;
        let durability = log.durability();
        log.close();
        drop(log);
        disk.repair();
        let log = open(&disk, folder.path(), &table, durability).unwrap();
        Self {
            folder,
            disk,
            table,
            log,
        }
    }

    async fn take(&self, n: u8) -> Result<Record, StoreError> {
        let opening = opening(n);
        let mut record = Record::opened(opening.clone());
        (record.outcome, record.http_status) = (Outcome::Ok, 200);
        self.log.take(&Arc::new(OpenRequest::new(opening))).await?;
        Ok(record)
    }

    /// What the client of a request is told once its record stands.
    async fn serve(&self, n: u8) -> Result<(), StoreError> {
        let record = self.take(n).await?;
        self.durable(self.log.fill(&record)).await
    }

    async fn durable(&self, mut filled: WriteState) -> Result<(), StoreError> {
        poll_fn(|cx| self.log.poll_durable(&mut filled, cx)).await
    }

    async fn outcome(&self, n: u8) -> Option<Outcome> {
        let found = self.log.find(&ACCOUNT.into(), id(n)).await.unwrap();
        found.map(|record| record.outcome)
    }

    /// Every record, by its number.
    async fn outcomes(&self) -> Vec<(RequestId, Outcome)> {
        let query = LogQuery {
            limit: usize::MAX,
            ..LogQuery::default()
        };
        let mut all = self.log.list(&ACCOUNT.into(), &query).await.unwrap();
        all.reverse();
        all.iter().map(|r| (r.id, r.outcome)).collect()
    }

    async fn works_again(&self) {
        until("the log works again", || self.log.trouble().is_none()).await;
    }
}

fn open(
    disk: &FaultyDisk,
    folder: &Path,
    table: &Table,
    durability: Durability,
) -> Result<JournalLog, OpenError> {
    let options = Options {
        durability,
        ..Options::default()
    };
    JournalLog::open_on(
        Arc::new(disk.clone()),
        &folder.join("usage"),
        table.clone(),
        table.clone(),
        options,
        Timestamp::default(),
        |_| {},
    )
}

fn id(n: u8) -> RequestId {
    RequestId::new(Timestamp::from_millis(u64::from(n) + 1), [n; 6])
}

fn opening(n: u8) -> Opening {
    Opening {
        id: id(n),
        account: ACCOUNT.into(),
        key_hash: KeyHash::from_bytes(&[n; 32]).unwrap(),
        at: Timestamp::from_millis(u64::from(n) + 1),
        ip: None,
        inbound: Protocol::Chat,
        model_requested: None,
        endpoint: None,
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(30), "never: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

const OK: Outcome = Outcome::Ok;
const LOST: Outcome = Outcome::StorageError;

#[tokio::test]
async fn what_a_failed_sync_was_to_cover_is_lost_for_its_clients_and_stands_once_with_that_outcome()
{
    let rig = Rig::new(Durability::PowerLoss);
    rig.serve(0).await.unwrap();
    let records = [rig.take(1).await.unwrap(), rig.take(2).await.unwrap()];
    rig.disk.fail(Call::Sync, 1);
    let filled = records.each_ref().map(|record| rig.log.fill(record));
    for filled in filled {
        let Err(StoreError::Unavailable(_)) = rig.durable(filled).await else {
            panic!("the disk dropped it");
        };
    }
    rig.works_again().await;
    rig.serve(3).await.unwrap();
    // That a later sync succeeded changes nothing for them.
    for filled in filled {
        assert!(rig.durable(filled).await.is_err());
    }
    let all = vec![(id(0), OK), (id(1), LOST), (id(2), LOST), (id(3), OK)];
    assert_eq!(rig.outcomes().await, all);
    let rig = rig.reopen();
    assert_eq!(rig.outcomes().await, all, "and after a restart");
    assert_eq!(lock(&rig.table.rows).len(), 4);
}

#[tokio::test]
async fn a_record_that_the_disk_may_still_lose_is_not_imported() {
    let rig = Rig::new(Durability::PowerLoss);
    let record = rig.take(1).await.unwrap();
    let syncing = rig.disk.syncing.clone();
    let slow = lock(&syncing);
    let filled = rig.log.fill(&record);
    let before = rig.table.imports.load(Ordering::SeqCst);
    let start = Instant::now();
    while rig.table.imports.load(Ordering::SeqCst) < before + 2 {
        assert!(start.elapsed() < Duration::from_secs(30), "no import");
        std::thread::yield_now();
    }
    assert!(lock(&rig.table.rows).is_empty(), "while it is not on disk");
    rig.disk.fail(Call::Sync, 1);
    drop(slow);
    assert!(rig.durable(filled).await.is_err());
    until("the import", || lock(&rig.table.rows).contains_key(&id(1))).await;
    assert_eq!(lock(&rig.table.rows)[&id(1)].outcome, LOST);
}

#[tokio::test]
async fn what_an_abandoned_segment_still_holds_does_not_count_after_a_restart() {
    let rig = Rig::new(Durability::PowerLoss);
    *lock(&rig.table.refuses) = true;
    rig.disk.keeps_pages.store(true, Ordering::SeqCst);
    rig.disk.fail(Call::Sync, 1);
    assert!(rig.serve(1).await.is_err());
    rig.works_again().await;
    assert_eq!(rig.outcome(1).await, Some(LOST));
    rig.log.close();
    *lock(&rig.table.refuses) = false;
    assert_eq!(rig.reopen().outcomes().await, [(id(1), LOST)]);
}

#[tokio::test]
async fn the_log_is_broken_until_a_sync_succeeds_though_writes_do() {
    let rig = Rig::new(Durability::PowerLoss);
    rig.disk.fail(Call::Sync, 3);
    assert!(rig.serve(1).await.is_err());
    while rig.disk.left(Call::Sync) > 0 {
        assert!(
            matches!(rig.take(9).await, Err(StoreError::Unavailable(_))),
            "it takes no request before the disk takes records"
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    rig.works_again().await;
    rig.serve(2).await.unwrap();
    let rig = rig.reopen();
    assert_eq!(rig.outcomes().await, [(id(1), LOST), (id(2), OK)]);
}

#[tokio::test]
async fn a_log_whose_disk_never_syncs_can_be_closed_and_gives_its_records_to_the_database() {
    let rig = Rig::new(Durability::PowerLoss);
    rig.disk.fail(Call::Sync, usize::MAX);
    assert!(rig.serve(1).await.is_err());
    rig.log.close();
    assert_eq!(lock(&rig.table.rows)[&id(1)].outcome, LOST);
}

#[tokio::test]
async fn a_lost_record_outlives_a_process_that_ends_before_it_is_imported() {
    let rig = Rig::new(Durability::PowerLoss);
    *lock(&rig.table.refuses) = true;
    rig.disk.fail(Call::Sync, 1);
    assert!(rig.serve(1).await.is_err());
    rig.works_again().await;
    rig.log.close();
    *lock(&rig.table.refuses) = false;
    let rig = rig.reopen();
    assert_eq!(rig.outcomes().await, [(id(1), LOST)]);
}

#[tokio::test]
async fn a_write_that_fails_or_is_cut_short_leaves_the_segment_and_loses_no_record() {
    for durability in [Durability::ProcessCrash, Durability::PowerLoss] {
        for call in [Call::Append, Call::ShortAppend] {
            let rig = Rig::new(durability);
            rig.serve(0).await.unwrap();
            let record = rig.take(1).await.unwrap();
            rig.disk.fail(call, 1);
            assert_eq!(rig.log.fill(&record), WriteState::Held, "{call:?}");
            assert!(rig.durable(WriteState::Held).await.is_err());
            rig.works_again().await;
            rig.serve(2).await.unwrap();
            let all = [(id(0), OK), (id(1), LOST), (id(2), OK)];
            assert_eq!(rig.outcomes().await, all, "{call:?}");
            let rig = rig.reopen();
            assert_eq!(rig.outcomes().await, all, "{call:?}, after a restart");
        }
    }
}

#[tokio::test]
async fn a_segment_that_cannot_be_begun_is_tried_again_until_it_can() {
    for call in [Call::Create, Call::SyncFolder] {
        let rig = Rig::new(Durability::PowerLoss);
        rig.serve(0).await.unwrap();
        rig.disk.fail(call, 3);
        rig.disk.fail(Call::Sync, 1);
        assert!(rig.serve(1).await.is_err());
        until("all were tried", || rig.disk.left(call) == 0).await;
        rig.works_again().await;
        rig.serve(2).await.unwrap();
        let rig = rig.reopen();
        let all = [(id(0), OK), (id(1), LOST), (id(2), OK)];
        assert_eq!(rig.outcomes().await, all, "{call:?}");
        let files = std::fs::read_dir(rig.folder.path().join("usage")).unwrap();
        assert_eq!(files.count(), 1, "{call:?} leaves no file behind");
    }
}

#[tokio::test]
async fn a_journal_that_cannot_be_read_says_so_and_loses_nothing() {
    for call in [Call::Read, Call::Length] {
        let rig = Rig::new(Durability::ProcessCrash);
        *lock(&rig.table.refuses) = true;
        rig.serve(1).await.unwrap();
        rig.disk.fail(call, usize::MAX);
        let found = rig.log.find(&ACCOUNT.into(), id(1)).await;
        assert!(matches!(found, Err(StoreError::Unavailable(_))), "{call:?}");
        let listed = rig.log.list(&ACCOUNT.into(), &LogQuery::default()).await;
        assert!(
            matches!(listed, Err(StoreError::Unavailable(_))),
            "{call:?}"
        );
        *lock(&rig.table.refuses) = false;
        rig.serve(2).await.unwrap();
        until("operators see it", || rig.log.import_trouble().is_some()).await;
        rig.disk.repair();
        until("it is over", || rig.log.import_trouble().is_none()).await;
        assert_eq!(rig.outcome(1).await, Some(OK), "{call:?}");
        assert_eq!(rig.outcome(2).await, Some(OK), "{call:?}");
    }
}

#[tokio::test]
async fn a_segment_that_cannot_be_removed_is_removed_later_and_counts_once() {
    let rig = Rig::new(Durability::ProcessCrash);
    rig.serve(1).await.unwrap();
    rig.disk.fail(Call::Remove, 2);
    // The request's own attempt, and one of the thread that then leaves the segment.
    rig.disk.fail(Call::Append, 2);
    assert!(rig.serve(2).await.is_err());
    rig.works_again().await;
    let mut n = 3;
    while rig.disk.left(Call::Remove) > 0 {
        rig.serve(n).await.unwrap();
        n += 1;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let rig = rig.reopen();
    assert_eq!(rig.outcomes().await.len(), usize::from(n) - 1);
    let files = std::fs::read_dir(rig.folder.path().join("usage")).unwrap();
    assert_eq!(files.count(), 1);
}

#[tokio::test]
async fn a_journal_that_cannot_be_opened_says_where_and_the_next_start_has_everything() {
    for call in [
        Call::CreateFolder,
        Call::List,
        Call::Open,
        Call::Create,
        Call::SyncFolder,
        Call::Length,
        Call::Read,
        Call::Remove,
    ] {
        let rig = Rig::new(Durability::PowerLoss);
        *lock(&rig.table.refuses) = true;
        rig.serve(1).await.unwrap();
        rig.log.close();
        *lock(&rig.table.refuses) = false;
        rig.disk.fail(call, 1);
        let Err(refused) = open(
            &rig.disk,
            rig.folder.path(),
            &rig.table,
            Durability::PowerLoss,
        ) else {
            panic!("{call:?}: it was opened");
        };
        let message = refused.to_string();
        assert!(message.contains("journal"), "{call:?}: {message}");
        assert!(message.contains("on command"), "{call:?}: {message}");
        let rig = rig.reopen();
        assert_eq!(rig.outcomes().await, [(id(1), OK)], "{call:?}");
    }
}

#[tokio::test]
async fn slots_of_records_that_wait_for_the_disk_stay_taken() {
    let rig = Rig::new(Durability::PowerLoss);
    let record = rig.take(1).await.unwrap();
    rig.disk.fail(Call::Sync, usize::MAX);
    let filled = rig.log.fill(&record);
    assert!(rig.durable(filled).await.is_err());
    assert_eq!(rig.log.free_slots(), Options::default().slots - 1);
    rig.disk.repair();
    until("its slot is free", || {
        rig.log.free_slots() == Options::default().slots
    })
    .await;
    assert_eq!(rig.outcome(1).await, Some(LOST));
}
