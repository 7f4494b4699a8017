//! Inviting others: by a link, a QR code, and the system's own way to hand something on.

use serde_json::{Value, json};
use tests::browser::{Browser, Key};
use tests::poll::{self, Look};
use tests::stage;

/// The canvas with the code that is seen in grey, as its width and one byte for each pixel; null as long as there is none.
const PIXELS: &str = "(() => {
  const canvas = [...document.querySelectorAll('[data-testid=qr]')].find((canvas) => canvas.checkVisibility());
  if (!canvas) return null;
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return {width: canvas.width, grey: Array.from({length: data.length / 4}, (_, at) => data[at * 4])};
})()";

/// What another program reads from the code.
async fn scanned(browser: &Browser) -> anyhow::Result<String> {
    let pixels = poll::until("QR code", async || {
        Ok(match browser.value(PIXELS, Value::Null).await? {
            Value::Null => Look::NotYet("none".into()),
            pixels => Look::There(pixels),
        })
    })
    .await?;
    let width = usize::try_from(pixels["width"].as_u64().unwrap_or_default())?;
    let grey: Vec<u8> = serde_json::from_value(pixels["grey"].clone())?;
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(width, width, |x, y| grey[y * width + x]);
    let grids = image.detect_grids();
    anyhow::ensure!(grids.len() == 1, "{} codes", grids.len());
    Ok(grids[0].decode()?.1)
}

#[test]
fn the_code_that_a_phone_scans_is_the_link() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser("ann").await?;
        // A name of more than ASCII, as its owner sees it, and as a URL has it.
        browser
            .enter(&service.room("%EC%B0%A8", "ann", "&audio=0&video=0"))
            .await?;
        browser
            .click_when_there("[data-testid=alone] [data-testid=qr-link]")
            .await?;
        let link = "document.querySelector('[data-testid=alone] [data-testid=invite-link]').value";
        let link = browser.value(link, Value::Null).await?;
        assert_eq!(json!(scanned(&browser).await?), link);
        browser.screenshot("qr").await?;
        // The way back, by keyboard.
        browser
            .focus_is_on("[data-testid=qr-link][aria-expanded=true]")
            .await?;
        browser.press(Key::Enter).await?;
        browser
            .focus_is_on("[data-testid=qr-link][aria-expanded=false]")
            .await?;
        assert_eq!(browser.value(PIXELS, Value::Null).await?, Value::Null);
        // Those who watch have a link of their own.
        browser.click("[data-testid=toggle-people]").await?;
        browser
            .click_when_there("[data-testid=qr-watch-link]")
            .await?;
        let watch = scanned(&browser).await?;
        assert!(watch.ends_with("watch=1"), "{watch}");
        browser.screenshot("qr-to-watch").await
    });
}

#[test]
fn the_link_is_handed_to_the_share_sheet_or_else_copied() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser("ann").await?;
        // Chromium has no share sheet on Linux; what the page asks of one is what counts.
        let sheet = "window.asked = [];
            navigator.share = async (data) => {
              window.asked.push(data);
              if (window.asked.length > 1) throw new DOMException('x', window.asked.length > 2 ? 'NotAllowedError' : 'AbortError');
            };";
        browser.before_each_page(sheet).await?;
        browser
            .enter(&service.room("tea", "ann", "&audio=0&video=0"))
            .await?;
        let share = "[data-testid=alone] [data-testid=share-link]";
        let copied =
            "document.querySelector('[data-testid=alone] [data-testid=copy-link]').textContent";
        let copy = browser.value(copied, Value::Null).await?;
        // Taken, closed by the reader, and not allowed.
        browser.click_when_there(share).await?;
        browser.click(share).await?;
        assert_eq!(browser.value(copied, Value::Null).await?, copy);
        browser.click(share).await?;
        poll::until("the link copied or marked", async || {
            let now = browser
                .value(&format!("[{copied}, String(getSelection())]"), Value::Null)
                .await?;
            let told = now[0] != copy
                || now[1]
                    .as_str()
                    .is_some_and(|text| text.contains("/room/tea"));
            Ok(if told {
                Look::There(())
            } else {
                Look::NotYet(now.to_string())
            })
        })
        .await?;
        let asked = browser.value("window.asked.map(({url}) => url)", Value::Null);
        let link = format!("{}/room/tea", service.page);
        assert_eq!(asked.await?, json!([link, link, link]));
        Ok(())
    });
}
