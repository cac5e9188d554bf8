//! Writes each mail into a file of its own, for a local look or for a mail system that picks files up.

use std::{
    io,
    path::{Path, PathBuf},
    process,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use tokio::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::AsyncWriteExt as _,
};

use super::{MailSender, MessageSigner, OutgoingMail, SendError, mime};

/// Only the service itself reads its mails: keys stand in them.
const FILE_MODE: u32 = 0o600;
const DIRECTORY_MODE: u32 = 0o700;

/// Writes mails into a directory: `<mail id>.eml`, always whole, a second delivery over the first.
#[derive(Debug)]
pub struct FileSender {
    directory: PathBuf,
    /// Tells temporary files apart, should one mail be sent twice at once.
    serial: AtomicU64,
    signer: Option<Arc<dyn MessageSigner>>,
}

/// A file that goes away unless it has been renamed, even where the sending is cancelled.
struct TemporaryFile(PathBuf);

impl FileSender {
    /// Writes into `directory`, which is made when the first mail needs it.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, serial: AtomicU64::new(0), signer: None }
    }

    /// Has each message signed, if there is somebody who signs.
    #[must_use]
    pub fn signed_by(self, signer: Option<Arc<dyn MessageSigner>>) -> Self {
        Self { signer, ..self }
    }

    async fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(&self.directory).await?;
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        // A leading dot and no .eml: whoever reads the directory passes it over.
        let temporary = TemporaryFile(self.directory.join(format!(".{name}.{}.{serial}.tmp", process::id())));
        write_new(&temporary.0, content).await?;
        fs::rename(&temporary.0, self.directory.join(name)).await?;
        // The name is on the disk only once its directory is.
        File::open(&self.directory).await?.sync_all().await
    }
}

#[async_trait]
impl MailSender for FileSender {
    async fn send(&self, mail: &OutgoingMail<'_>) -> Result<(), SendError> {
        let message = mime::form_signed(mail, self.signer.as_deref())?;
        let name = format!("{}.eml", mail.id);
        self.write(&name, message.text.as_bytes()).await.map_err(|error| {
            SendError::Unavailable(format!("can't write {name} into {}: {error}", self.directory.display()))
        })
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // Gone already where all went well.
        let _ = std::fs::remove_file(&self.0);
    }
}

async fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path).await?;
    file.write_all(content).await?;
    file.flush().await?;
    file.sync_all().await
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use secrecy::SecretString;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{
        Timestamp,
        mail::{MailId, MailKind, MailText},
    };

    fn text(body: &str) -> MailText {
        MailText {
            from: "a@example.com".into(),
            subject: "s".into(),
            body: SecretString::from(body),
            html: None,
        }
    }

    async fn send(sender: &FileSender, id: u128, text: &MailText) -> Result<(), SendError> {
        sender
            .send(&OutgoingMail {
                id: MailId(Uuid::from_u128(id)),
                kind: MailKind::Activation,
                recipient: "alice@example.com",
                create_time: Timestamp::from_timestamp(1_700_000_000, 0).unwrap(),
                text,
            })
            .await
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn every_mail_gets_a_file_that_only_the_service_can_read() {
        let folder = tempfile::tempdir().unwrap();
        let directory = folder.path().join("some/mails");
        let sender = FileSender::new(directory.clone());
        send(&sender, 1, &text("one")).await.unwrap();
        send(&sender, 2, &text("two")).await.unwrap();
        let first = Uuid::from_u128(1).to_string() + ".eml";
        assert_eq!(names(&directory), [first.clone(), Uuid::from_u128(2).to_string() + ".eml"]);
        assert_eq!((mode(&directory), mode(&directory.join(&first))), (0o700, 0o600));
        let content = fs::read(directory.join(first)).unwrap();
        assert_eq!(mailparse::parse_mail(&content).unwrap().get_body().unwrap().trim_end(), "one");
    }

    #[tokio::test]
    async fn a_second_delivery_replaces_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let sender = FileSender::new(folder.path().to_owned());
        send(&sender, 1, &text("long before")).await.unwrap();
        send(&sender, 1, &text("now")).await.unwrap();
        let [name] = &names(folder.path())[..] else { panic!("one file") };
        let content = fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(content.ends_with("\r\n\r\nnow\r\n"), "{content}");
    }

    #[tokio::test]
    async fn a_failure_is_no_fault_of_the_mail_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let in_the_way = folder.path().join("file");
        fs::write(&in_the_way, "").unwrap();
        let outcome = send(&FileSender::new(in_the_way), 1, &text("key")).await;
        assert!(matches!(outcome, Err(SendError::Unavailable(_))), "{outcome:?}");

        let directory = folder.path().join("mails");
        fs::create_dir_all(directory.join(Uuid::from_u128(1).to_string() + ".eml")).unwrap();
        let outcome = send(&FileSender::new(directory.clone()), 1, &text("key")).await;
        assert!(matches!(outcome, Err(SendError::Unavailable(_))), "{outcome:?}");
        assert_eq!(names(&directory), [Uuid::from_u128(1).to_string() + ".eml"]);
    }

    #[tokio::test]
    async fn a_mail_that_cannot_be_formed_is_refused_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let poisoned = MailText { subject: "a\r\nb".into(), ..text("key") };
        let outcome = send(&FileSender::new(folder.path().to_owned()), 1, &poisoned).await;
        assert!(matches!(outcome, Err(SendError::Permanent(_))), "{outcome:?}");
        assert!(names(folder.path()).is_empty());
    }
}
