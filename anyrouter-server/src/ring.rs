//! Reading, creating and replacing the key ring: a file that only its owner can read, or a text that
//! the operator provides.

use std::{
    collections::BTreeMap,
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use anyrouter_core::{
    config::RingSource,
    credential::open_account_key,
    ports::{Randomness, StoreError},
    vault::{Key, KeyId, KeyRing},
};
use zeroize::Zeroizing;

use crate::{
    clock::SystemRandomness,
    vault::{InUse, RingPlace},
};

/// Name of the ring's file in the data directory.
const FILE: &str = "keyring.toml";
/// The file in which earlier versions kept the key of the placeholders.
const PLACEHOLDER: &str = "placeholder.key";

/// A ring in a file.
struct RingFile {
    path: PathBuf,
    /// Its text when it was last read or written here.
    known: Mutex<Zeroizing<String>>,
}

/// A ring that the operator provides.
struct Provided(String);

/// A ring that was opened.
pub(crate) struct OpenedRing {
    pub(crate) ring: KeyRing,
    pub(crate) place: Box<dyn RingPlace>,
    /// Path of the file, if it was created now.
    pub(crate) created: Option<PathBuf>,
}

impl RingPlace for RingFile {
    fn write(&self, ring: &KeyRing) -> Result<(), StoreError> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let at = |e: io::Error| StoreError::from(e).during("key ring");
        match fs::read_to_string(&self.path).map(Zeroizing::new) {
            // Someone else's keys must not be overwritten: what they seal would be lost.
            Ok(text) if *text != **known => {
                let why = format!(
                    "{} was changed by something else; start the server again to read it",
                    self.path.display()
                );
                return Err(StoreError::Unavailable(why));
            }
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(at(e)),
            _ => {}
        }
        write(&self.path, ring).map_err(at)?;
        *known = ring.to_text();
        Ok(())
    }

    fn is_ours(&self) -> bool {
        true
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }
}

impl RingPlace for Provided {
    fn write(&self, _: &KeyRing) -> Result<(), StoreError> {
        let why = format!("the key ring is from {}; change it there", self.0);
        Err(StoreError::Unavailable(why))
    }

    fn is_ours(&self) -> bool {
        false
    }

    fn name(&self) -> String {
        self.0.clone()
    }
}

/// Opens the ring. `in_use` is what is sealed under each master key: without anything sealed, a
/// missing ring is created.
pub(crate) fn open(
    source: &RingSource,
    folder: &Path,
    in_use: &BTreeMap<KeyId, InUse>,
) -> Result<OpenedRing, String> {
    let (ring, place, created): (_, Box<dyn RingPlace>, _) = match source {
        RingSource::DataDir => of_file(&folder.join(FILE), folder, in_use)?,
        RingSource::File(path) => of_file(path, folder, in_use)?,
        RingSource::Text(variable, text) => {
            let name = format!("the environment variable {variable}");
            let ring = KeyRing::parse(text.expose()).map_err(|e| format!("{name}: {e}"))?;
            (ring, Box::new(Provided(name)), None)
        }
        RingSource::Command(command) => {
            let name = format!("the command {}", command.first().map_or("", String::as_str));
            let text = output(command).map_err(|e| format!("{name}: {e}"))?;
            let ring = KeyRing::parse(&text).map_err(|e| format!("{name}: {e}"))?;
            (ring, Box::new(Provided(name)), None)
        }
    };
    for (id, sealed) in in_use {
        let place = place.name();
        if ring.key(*id).is_err() {
            let keys = keys_of(sealed.count);
            return Err(format!(
                "{place}: {keys} sealed under master key {id}, which this ring does not have; restore the ring that has it. Nothing was changed"
            ));
        }
        if open_account_key(&ring, sealed.account.as_str(), &sealed.sealed).is_err() {
            return Err(format!(
                "{place}: master key {id} of this ring does not open what is sealed under it; restore the ring that does. Nothing was changed"
            ));
        }
    }
    Ok(OpenedRing {
        ring,
        place,
        created,
    })
}

/// Returns the subject of a sentence about the keys of some accounts.
fn keys_of(accounts: u64) -> String {
    if accounts == 1 {
        "the key of 1 account is".to_owned()
    } else {
        format!("the keys of {accounts} accounts are")
    }
}

type OfFile = (KeyRing, Box<dyn RingPlace>, Option<PathBuf>);

fn of_file(path: &Path, folder: &Path, in_use: &BTreeMap<KeyId, InUse>) -> Result<OfFile, String> {
    let at = |problem: &dyn std::fmt::Display| format!("{}: {problem}", path.display());
    let place = |text: Zeroizing<String>| {
        Box::new(RingFile {
            path: path.to_owned(),
            known: Mutex::new(text),
        })
    };
    let old = folder.join(PLACEHOLDER);
    match fs::read_to_string(path).map(Zeroizing::new) {
        Ok(text) => {
            let mode = fs::metadata(path).map_err(|e| at(&e))?.permissions().mode();
            if mode & 0o077 != 0 {
                let problem = format!(
                    "others can read this key ring (mode {:o}); run chmod 600 on it",
                    mode & 0o777
                );
                return Err(at(&problem));
            }
            let ring = KeyRing::parse(&text).map_err(|e| at(&e))?;
            // The key moved here in a start that broke off.
            if fs::read(&old).is_ok_and(|key| key == ring.placeholder()) {
                fs::remove_file(&old).map_err(|e| at(&e))?;
            }
            Ok((ring, place(text), None))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let count: u64 = in_use.values().map(|sealed| sealed.count).sum();
            if count > 0 {
                let keys = keys_of(count);
                let problem = format!(
                    "the key ring is missing, and {keys} sealed under it; restore it. Nothing was changed"
                );
                return Err(at(&problem));
            }
            let ring = created(&old)?;
            write(path, &ring).map_err(|e| at(&e))?;
            match fs::remove_file(&old) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(at(&e)),
                _ => {}
            }
            let text = ring.to_text();
            Ok((ring, place(text), Some(path.to_owned())))
        }
        Err(e) => Err(at(&e)),
    }
}

/// Creates a ring, with the key of the placeholders that an earlier version kept in a file.
fn created(old: &Path) -> Result<KeyRing, String> {
    let bits = || SystemRandomness.key_bits().map_err(|e| e.to_string());
    let placeholder = match fs::read(old).map(Zeroizing::new) {
        Ok(key) => key.as_slice().try_into().map_err(|_| {
            format!(
                "{}: it is not a key of 32 bytes; restore it, or remove it to create a new one",
                old.display()
            )
        })?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => bits()?,
        Err(e) => return Err(format!("{}: {e}", old.display())),
    };
    let mut key = [0; 36];
    let (id, secret) = key.split_at_mut(4);
    SystemRandomness.fill(id);
    secret.copy_from_slice(&bits()?);
    Ok(KeyRing::new(Key::from_random(key), placeholder))
}

/// Writes the file completely or not at all.
fn write(path: &Path, ring: &KeyRing) -> io::Result<()> {
    // A link stays one: what it leads to is replaced.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let mut unfinished = path.clone().into_os_string();
    unfinished.push(".new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&unfinished)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(ring.to_text().as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn output(command: &[String]) -> Result<Zeroizing<String>, String> {
    let (program, arguments) = command.split_first().ok_or("no program")?;
    let done = Command::new(program).args(arguments).output();
    let done = done.map_err(|e| e.to_string())?;
    let text = Zeroizing::new(done.stdout);
    if !done.status.success() {
        return Err(format!("it ended with {}", done.status));
    }
    let text = std::str::from_utf8(&text).map_err(|_| "it did not print text".to_owned())?;
    Ok(Zeroizing::new(text.to_owned()))
}
