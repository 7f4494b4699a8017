//! Where received files are kept: where the reader chose, or nowhere; and how files get into the page by hand.

use std::fs::{self, File};

use serde_json::{Value, json};
use tests::browser::Browser;
use tests::poll::{self, Look};
use tests::stage;

use super::files::{NO_DIALOG, arrives, endless_file, file, open_chat, state};
use super::meet;

/// Stands in for the browser's dialog alone: what is chosen there are files of the origin's own storage, and all that is done with
/// them is the browser's.
const DIALOG: &str = "(() => {
  window.closeDialog = false;
  window.suggested = [];
  window.showSaveFilePicker = async ({suggestedName}) => {
    window.suggested.push(suggestedName);
    if (window.closeDialog) throw new DOMException('The user aborted a request.', 'AbortError');
    const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('chosen', {create: true});
    // As the dialog does: there is an empty file.
    return folder.getFileHandle(suggestedName, {create: true});
  };
})()";
/// What is in the storage, by name and size; folders have their content.
const STORED: &str = "(async () => {
  const list = async (folder) => {
    const all = {};
    for await (const [name, entry] of folder.entries()) {
      all[name] = entry.kind === 'file' ? (await entry.getFile()).size : await list(entry);
    }
    return all;
  };
  return list(await navigator.storage.getDirectory());
})()";
/// Whether a chosen file (`arg`) has the bytes of [`pattern`].
const IS_PATTERN: &str = "(async () => {
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('chosen');
  const bytes = new Uint8Array(await (await (await folder.getFileHandle(arg)).getFile()).arrayBuffer());
  return bytes.every((byte, at) => byte === (Math.imul(at, 2654435761) >>> 24));
})()";

/// Bytes that tell where they belong.
fn pattern(length: u32) -> Vec<u8> {
    let byte = |at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()[0];
    (0..length).map(byte).collect()
}

/// Waits until the storage has this in it, and nothing else.
async fn stores(browser: &Browser, wanted: Value) -> anyhow::Result<()> {
    poll::until(&format!("storage with {wanted}"), async || {
        let stored = browser.value(STORED, Value::Null).await?;
        Ok(if stored == wanted {
            Look::There(())
        } else {
            Look::NotYet(stored.to_string())
        })
    })
    .await
}

const ACCEPT: &str = "[data-state=offered] [data-testid=file-accept]";

#[test]
fn a_file_goes_where_the_reader_chose() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        browsers.1.before_each_page(DIALOG).await?;
        let [(ann, _), (bob, _)] = meet(browsers, &service, "&audio=0&video=0").await?;
        open_chat(&bob).await?;

        let length = 3_000_001;
        ann.send_file(&file(stage, "보고서.bin", &pattern(length))?)
            .await?;
        state(&bob, "offered").await?;
        // Whoever closes the dialog has not answered yet, and nobody is told anything.
        bob.value("window.closeDialog = true", Value::Null).await?;
        bob.click(ACCEPT).await?;
        bob.holds("a dialog", "window.suggested.length === 1")
            .await?;
        let asks = format!("document.querySelector('{ACCEPT}')?.disabled === false");
        bob.holds("an offer that still stands", &asks).await?;
        state(&ann, "offered").await?;
        stores(&bob, json!({})).await?;

        bob.value("window.closeDialog = false", Value::Null).await?;
        bob.click(ACCEPT).await?;
        state(&bob, "done").await?;
        state(&ann, "done").await?;
        // There, complete, and nowhere else.
        stores(&bob, json!({"chosen": {"보고서.bin": length}})).await?;
        assert_eq!(bob.value(IS_PATTERN, json!("보고서.bin")).await?, true);
        let again = "document.querySelector('[data-testid=file-save]').checkVisibility()";
        assert_eq!(bob.value(again, Value::Null).await?, false);
        assert_eq!(
            fs::read_dir(bob.downloads()).into_iter().flatten().count(),
            0
        );

        // What was not wanted in the end leaves nothing, whoever stopped it.
        let long = endless_file(stage)?;
        for cancels in [&bob, &ann] {
            open_chat(cancels).await?;
            ann.send_file(&long).await?;
            state(&bob, "offered").await?;
            bob.click(ACCEPT).await?;
            state(&bob, "running").await?;
            state(cancels, "running").await?;
            cancels
                .click("[data-state=running] [data-testid=file-cancel]")
                .await?;
            state(&bob, "cancelled").await?;
            stores(&bob, json!({"chosen": {"보고서.bin": length}})).await?;
        }
        Ok(())
    });
}

/// A browser that can neither ask where to put a file nor keep one on the disk.
const NO_STORAGE: &str = "(() => {
  delete window.showSaveFilePicker;
  Object.defineProperty(navigator, 'storage', {value: undefined});
})()";

#[test]
fn without_any_storage_small_files_are_kept_in_memory_and_large_ones_refused_with_words() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        browsers.1.before_each_page(NO_STORAGE).await?;
        let [(ann, _), (bob, _)] = meet(browsers, &service, "&audio=0&video=0").await?;
        open_chat(&bob).await?;
        let large = stage.folder().join("large.bin");
        File::create(&large)?.set_len(201 * 1024 * 1024)?;
        ann.send_file(&large).await?;
        state(&bob, "offered").await?;
        bob.click(ACCEPT).await?;
        bob.says(
            "[data-testid=notices]",
            &["cannot take a file of this size"],
        )
        .await?;
        state(&bob, "offered").await?;
        bob.screenshot("too-large").await?;
        bob.click("[data-testid=file-refuse]").await?;
        state(&ann, "refused").await?;

        let content = pattern(2_000_000);
        ann.send_file(&file(stage, "small.bin", &content)?).await?;
        state(&bob, "offered").await?;
        bob.click(ACCEPT).await?;
        state(&bob, "done").await?;
        arrives(&bob.downloads().join("small.bin"), &content).await
    });
}

#[test]
fn files_can_be_dropped_anywhere_on_a_call_and_folders_are_explained() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browsers = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        browsers.1.before_each_page(NO_DIALOG).await?;
        let [(ann, _), (bob, _)] = meet(browsers, &service, "&audio=0&video=0").await?;
        open_chat(&bob).await?;
        let content = pattern(100_000);
        let dropped = file(stage, "dropped.bin", &content)?;
        // By then everybody can be asked.
        let undropped = file(stage, "chosen.bin", b"by hand")?;
        ann.send_file(&undropped).await?;
        state(&bob, "offered").await?;
        bob.click("[data-testid=file-refuse]").await?;
        state(&bob, "refused").await?;

        let zone = "document.querySelector('.drop-zone').checkVisibility()";
        ann.drag(".stage", &[&dropped], false).await?;
        ann.holds("where to drop", zone).await?;
        ann.screenshot("drop-zone").await?;
        ann.drag(".stage", &[&dropped], true).await?;
        ann.holds("no more of it", &format!("!{zone}")).await?;
        state(&bob, "offered").await?;
        bob.says("[data-state=offered]", &["dropped.bin"]).await?;
        bob.click(ACCEPT).await?;
        state(&bob, "done").await?;
        state(&ann, "done").await?;
        arrives(&bob.downloads().join("dropped.bin"), &content).await?;

        let folder = stage.folder().join("photos");
        fs::create_dir(&folder)?;
        ann.drag(".stage", &[&folder], true).await?;
        ann.says("[data-testid=notices]", &["Folders cannot be sent"])
            .await?;
        // The page is still the call.
        ann.peers(1).await?;
        Ok(())
    });
}
