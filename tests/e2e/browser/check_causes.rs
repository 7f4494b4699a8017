//! What the check tells about relays, lines and devices in trouble, each of which is really caused; and its report.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tests::browser::Kind;
use tests::check::Findings;
use tests::line::{Allowance, Line};
use tests::poll::{self, Look};
use tests::stage::{self, Stage};
use tests::stun::relay_that_refuses;

use super::meet;

/// What the check finds where the relay is at the other end of a line.
async fn check_over(stage: &Stage, line: Line) -> anyhow::Result<Findings> {
    let options = ["--auth-secret", "north", "--allow-peer", "127.0.0.0/8"];
    let relay = stage.relay(&options).await?;
    let address = line.lay_to(relay.udp).await?;
    let url = format!("turn:{address}?transport=udp");
    let service = stage.external("north", std::slice::from_ref(&url)).await?;
    let browser = stage.browser("ann").await?;
    let findings = browser.check(&service.check("en")).await?;
    browser.screenshot("check").await?;
    findings.is(&format!("ice:{url}"), "ok", "Answers after");
    Ok(findings)
}

#[test]
fn a_relay_that_is_far_away_is_explained() {
    stage::run(async |stage| {
        // To the relay, to the other end, and the same way back.
        let line = Line {
            delay: Duration::from_millis(115),
            allowance: None,
        };
        let findings = check_over(stage, line).await?;
        findings.is("loopback", "failed", "people will talk over each other");
        findings.verdict("limited", "A relay nearer to you would help");
        Ok(())
    });
}

#[test]
fn a_line_that_is_soon_tired_is_explained() {
    stage::run(async |stage| {
        // What a small call sends for two seconds passes, and then hardly anything.
        let line = Line {
            delay: Duration::ZERO,
            allowance: Some(Allowance {
                burst: 240_000.0,
                per_second: 20_000.0,
            }),
        };
        let findings = check_over(stage, line).await?;
        findings.is(
            "loopback",
            "failed",
            "enough for sound, hardly for pictures",
        );
        findings.verdict("limited", "--max-bps");
        Ok(())
    });
}

#[test]
fn a_relay_whose_places_for_one_network_are_taken_is_explained() {
    stage::run(async |stage| {
        // Two of one call have them both.
        let options = [
            "--auth-secret=north",
            "--allow-peer=127.0.0.0/8",
            "--source-quota=2",
        ];
        let relay = stage.relay(&options).await?;
        let url = format!("turn:{}?transport=udp", relay.udp);
        let service = stage.external("north", std::slice::from_ref(&url)).await?;
        let browsers = tokio::try_join!(stage.browser("ann"), stage.browser("bob"))?;
        let _call = meet(browsers, &service, "&relay=1&audio=0&video=0").await?;
        let cyd = stage.browser("cyd").await?;
        let findings = cyd.check(&service.check("en")).await?;
        findings.is(
            &format!("ice:{url}"),
            "failed",
            "this user or address has too many connections open",
        );
        findings.verdict("limited", "--source-quota");
        Ok(())
    });
}

#[test]
fn each_refusal_of_a_relay_has_words_of_its_own() {
    stage::run(async |stage| {
        let mut urls = Vec::new();
        let refusals = [
            (300, "Try Alternate", "sends us to another relay"),
            (400, "Bad Request", "does not understand the question"),
            (403, "Forbidden", "forbids what was asked"),
            (437, "Allocation Mismatch", "mistakes this connection"),
            (438, "Stale Nonce", "keeps asking for a newer nonce"),
            (441, "Wrong Credentials", "mistakes this connection"),
            (500, "Server Error", "something went wrong inside"),
            (442, "Unsupported", "The relay refuses: 442"),
        ];
        for (code, reason, _) in refusals {
            let relay = relay_that_refuses("north", code, reason).await?;
            urls.push(format!("turn:{relay}?transport=udp"));
        }
        let service = stage.external("north", &urls).await?;
        let browser = stage.browser("ann").await?;
        let findings = browser.check(&service.check("en")).await?;
        browser.screenshot("refusals").await?;
        for (url, (_, _, words)) in urls.iter().zip(refusals) {
            findings.is(&format!("ice:{url}"), "failed", words);
        }
        findings.verdict("limited", "No relay can be used from here");
        Ok(())
    });
}

/// A camera's picture that is black, in the format that Chromium plays as if it came from a camera.
fn black_picture(path: &Path) -> anyhow::Result<()> {
    let (width, height) = (320, 240);
    let mut film = format!("YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n").into_bytes();
    for _ in 0..10 {
        film.extend(b"FRAME\n");
        film.resize(film.len() + width * height, 0);
        film.resize(film.len() + width * height / 2, 128);
    }
    Ok(fs::write(path, film)?)
}

/// A second of nothing to be heard: 16 bits, one channel, 48,000 samples.
fn silence(path: &Path) -> anyhow::Result<()> {
    let samples = 96_000_u32;
    let mut sound = Vec::from(*b"RIFF");
    sound.extend((36 + samples).to_le_bytes());
    sound.extend(b"WAVEfmt ");
    sound.extend(16_u32.to_le_bytes());
    for part in [1_u16, 1] {
        sound.extend(part.to_le_bytes());
    }
    for part in [48_000_u32, 96_000] {
        sound.extend(part.to_le_bytes());
    }
    for part in [2_u16, 16] {
        sound.extend(part.to_le_bytes());
    }
    sound.extend(b"data");
    sound.extend(samples.to_le_bytes());
    sound.resize(sound.len() + samples as usize, 0);
    Ok(fs::write(path, sound)?)
}

#[test]
fn a_covered_lens_and_a_muted_microphone_are_explained() {
    stage::run(async |stage| {
        let [film, sound] = ["black.y4m", "silence.wav"].map(|name| stage.folder().join(name));
        black_picture(&film)?;
        silence(&sound)?;
        let service = stage.signaling(&[]).await?;
        let browser = stage
            .browser_of(Kind::playing(&film, &sound), "ann")
            .await?;
        browser.check(&service.check("en")).await?;
        let findings = browser.devices_fail().await?;
        findings.is("camera", "failed", "all that it sends is black");
        findings.is("camera", "failed", "shutter over the lens");
        findings.is("microphone", "failed", "The microphone is on, but silent");
        findings.verdict("limited", "one of your devices is not");
        browser.screenshot("check-black-and-silent").await?;
        Ok(())
    });
}

#[test]
fn the_report_can_be_saved_and_copied() {
    stage::run(async |stage| {
        let service = stage.signaling(&[]).await?;
        let browser = stage.browser("ann").await?;
        browser.check(&service.check("ko")).await?;
        browser.permit_clipboard(&service.page).await?;
        browser.click("[data-testid=check-save]").await?;
        let file = browser.downloads().join("callbox-check.json");
        let saved = poll::until("a saved report", async || {
            let report = fs::read(&file).ok();
            let report = report.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
            Ok(report.map_or_else(|| Look::NotYet(format!("{}", file.display())), Look::There))
        })
        .await?;
        browser.click("[data-testid=check-copy]").await?;
        browser.says("[data-testid=check-copy]", &["복사"]).await?;
        let copied = "navigator.clipboard.readText().then(JSON.parse)";
        let copied = browser.value(copied, Value::Null).await?;
        for report in [&saved, &copied] {
            let text = report.to_string();
            // In English whatever the page speaks, for whoever runs the server.
            assert_eq!(report["verdict"], "good", "{report:#}");
            assert!(text.contains("Answers after"), "{report:#}");
            for secret in ["credential", "password", "username"] {
                let key = format!("\"{secret}\":");
                assert!(!text.contains(&key), "{report:#}");
            }
        }
        // But for when they were made they are one.
        let without_time = |report: &Value| {
            let mut report = report.clone();
            report
                .as_object_mut()
                .expect("an object")
                .remove("checked_at");
            report
        };
        assert_eq!(without_time(&saved), without_time(&copied));
        Ok(())
    });
}
