//! Certificates for servers of tests that speak TLS, made by `openssl`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// Makes an authority (`ca.crt`, `ca.key`), and the certificate that it gives to a server at `127.0.0.1`
/// (`server.crt`, `server.key`), in PEM.
///
/// # Errors
/// `openssl` is not there, or fails.
pub fn make_certificates(folder: &Path) -> Result<()> {
    make(folder, "ca", &["-addext", "keyUsage=critical,keyCertSign"])?;
    let made_out = ["-addext", "subjectAltName=IP:127.0.0.1"];
    let signed = ["-addext", "basicConstraints=critical,CA:FALSE", "-CA", "ca.crt"];
    make(folder, "server", &[&made_out[..], &signed, &["-CAkey", "ca.key"]].concat())
}

fn make(folder: &Path, name: &str, more: &[&str]) -> Result<()> {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30"])
        .args(["-subj", &format!("/CN={name}")])
        .args(["-out", &format!("{name}.crt"), "-keyout", &format!("{name}.key")])
        .args(more)
        .current_dir(folder)
        .output()
        .context("`openssl` is not there; on Debian: `apt-get install openssl`")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "`openssl` made no certificate of {name}: {said}");
    Ok(())
}
