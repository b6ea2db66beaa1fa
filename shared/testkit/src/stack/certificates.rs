//! Certificates of the test cluster, made by `openssl`.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// A server certificate of its own below an authority of its own: strict clients refuse an
/// authority's certificate as a server's.
const CONFIG: &str = "\
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth, clientAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
";

const DAYS: &str = "30";

/// Makes `ca`, `tls` (the API server and the kubelets), `front-proxy-ca` and `front-proxy` (what the
/// API server shows to aggregated APIs; its authority must differ) and the service account key.
pub(super) fn make(folder: &Path) -> Result<()> {
    fs::write(folder.join("openssl.cnf"), CONFIG)?;
    authority(folder, "ca")?;
    signed(folder, "tls", "ca", "/CN=127.0.0.1")?;
    authority(folder, "front-proxy-ca")?;
    signed(folder, "front-proxy", "front-proxy-ca", "/CN=front-proxy")?;
    openssl(folder, "ecparam -genkey -name prime256v1 -noout -out sa.key")?;
    openssl(folder, "ec -in sa.key -pubout -out sa.pub")
}

const NEW_KEY: &str =
    "req -x509 -config openssl.cnf -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -noenc";

fn authority(folder: &Path, name: &str) -> Result<()> {
    openssl(
        folder,
        &format!(
            "{NEW_KEY} -days {DAYS} -subj /CN=capstan-test-{name} -extensions authority -keyout {name}.key -out {name}.crt"
        ),
    )
}

fn signed(folder: &Path, name: &str, authority: &str, subject: &str) -> Result<()> {
    openssl(
        folder,
        &format!(
            "{NEW_KEY} -days {DAYS} -subj {subject} -extensions server -CA {authority}.crt -CAkey {authority}.key -keyout {name}.key -out {name}.crt"
        ),
    )
}

/// Runs `openssl` with arguments of our own, none of which has a space in it.
fn openssl(folder: &Path, args: &str) -> Result<()> {
    let output = Command::new("openssl")
        .args(args.split(' '))
        .current_dir(folder)
        .output()
        .context("failed to start `openssl`")?;
    if !output.status.success() {
        bail!("`openssl {args}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_is_signed_by_the_authority() {
        let folder = tempfile::tempdir().unwrap();
        make(folder.path()).unwrap();
        openssl(folder.path(), "verify -purpose sslserver -CAfile ca.crt tls.crt").unwrap();
        let other = openssl(folder.path(), "verify -CAfile front-proxy-ca.crt tls.crt");
        assert!(other.is_err());
    }
}
