//! Loads the configuration: reads the file, the size of the machine's memory and the certificate's
//! dates. [`anyrouter_core::config`] interprets the text.

mod certificate;
mod memory;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyrouter_core::config::{Config, ConfigError, FileText};
use toml::{Table, Value};

/// Sources of settings: arguments override the environment, which overrides the file.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The configuration file, if any.
    pub file: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<SocketAddr>,
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--log-format`.
    pub log_format: Option<String>,
    /// The environment.
    pub environment: BTreeMap<String, String>,
}

impl Sources {
    /// Loads the configuration from all sources.
    pub fn load(&self) -> Result<Config, ConfigError> {
        let file = match &self.file {
            Some(path) => Some(FileText {
                path: path.clone(),
                text: read(path).map_err(|source| ConfigError::Unreadable {
                    path: path.clone(),
                    source,
                })?,
            }),
            None => None,
        };
        let sources = anyrouter_core::config::Sources {
            file,
            arguments: self.arguments()?,
            environment: self.environment.clone(),
            memory: Some(memory::share()),
        };
        let mut config = Config::load(&sources, &read)?;
        let certificate = config.tls.as_ref().map(|(certificate, _)| certificate);
        config
            .warnings
            .extend(certificate.and_then(|path| certificate::warning(path)));
        Ok(config)
    }

    /// Returns the command-line settings in the form of the file.
    fn arguments(&self) -> Result<Table, ConfigError> {
        let mut all = Table::new();
        if let Some(listen) = self.listen {
            all.insert("listen".to_owned(), Value::String(listen.to_string()));
        }
        if let Some(folder) = &self.data_dir {
            let folder = folder.to_str().ok_or_else(|| ConfigError::Invalid {
                place: "--data-dir".to_owned(),
                problem: "the name of the folder is not UTF-8".to_owned(),
            })?;
            all.insert("data_dir".to_owned(), Value::String(folder.to_owned()));
        }
        if let Some(format) = &self.log_format {
            let log = [("format".to_owned(), Value::String(format.clone()))];
            all.insert("log".to_owned(), Value::Table(log.into_iter().collect()));
        }
        Ok(all)
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    std::fs::read_to_string(path)
}
