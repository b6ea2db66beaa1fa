use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};
use tempfile::TempDir;

use super::*;

/// An archive of entries, each with a path as it is written: the builder would refuse bad ones.
fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(GzEncoder::new(Vec::new(), Compression::best()));
    for (path, kind, content) in entries {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o6777);
        if kind.is_symlink() || kind.is_hard_link() {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

fn unpack_within(bytes: &[u8], limits: &Limits) -> Result<TempDir, InputError> {
    let to = tempfile::tempdir().unwrap();
    let cancel = CancellationToken::new();
    unpack(bytes, bytes.len() as u64, "c.tgz", to.path(), limits, &cancel)?;
    Ok(to)
}

fn unpack_all(bytes: &[u8]) -> Result<TempDir, InputError> {
    unpack_within(bytes, &Limits::default())
}

#[test]
fn files_and_folders_are_unpacked() {
    let bytes = archive(&[
        ("./", EntryType::Directory, b""),
        ("c/Chart.yaml", EntryType::Regular, b"name: c"),
        ("c/./templates/a.yaml", EntryType::Regular, b"a: 1"),
    ]);
    let to = unpack_all(&bytes).unwrap();
    assert_eq!(std::fs::read_to_string(to.path().join("c/Chart.yaml")).unwrap(), "name: c");
    assert_eq!(std::fs::read_to_string(to.path().join("c/templates/a.yaml")).unwrap(), "a: 1");
    let mode = std::fs::metadata(to.path().join("c/Chart.yaml")).unwrap().permissions();
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o7111, 0);
}

#[test]
fn a_path_that_leads_outside_is_refused() {
    for path in ["../evil", "c/../../evil", "/etc/evil", "c/.."] {
        let error = unpack_all(&archive(&[(path, EntryType::Regular, b"x")])).unwrap_err();
        assert!(matches!(error, InputError::Outside { .. }), "{path}: {error}");
    }
}

#[test]
fn links_and_devices_are_refused() {
    use EntryType as E;
    for kind in [E::Symlink, E::Link, E::Char, E::Block, E::Fifo] {
        let error = unpack_all(&archive(&[("c/x", kind, b"")])).unwrap_err();
        assert!(matches!(error, InputError::Special { .. }), "{kind:?}: {error}");
    }
}

/// A link that is followed by a file below it: the classic way out.
#[test]
fn nothing_is_written_through_a_link() {
    let entries: [(&str, EntryType, &[u8]); 2] =
        [("c", EntryType::Symlink, b""), ("c/evil", EntryType::Regular, b"x")];
    assert!(unpack_all(&archive(&entries)).is_err());
}

#[test]
fn the_same_file_twice_is_refused() {
    let twice: [(&str, EntryType, &[u8]); 2] =
        [("c/a", EntryType::Regular, b"1"), ("c/./a", EntryType::Regular, b"2")];
    assert!(matches!(unpack_all(&archive(&twice)), Err(InputError::Io { .. })));
}

#[test]
fn an_archive_has_limits() {
    let three: [(&str, EntryType, &[u8]); 3] = [
        ("a", EntryType::Regular, b"12345"),
        ("b", EntryType::Regular, b"12345"),
        ("c", EntryType::Regular, b""),
    ];
    let bytes = archive(&three);
    let few = Limits { chart_entries_max: 2, ..Limits::default() };
    assert!(matches!(unpack_within(&bytes, &few), Err(InputError::TooMany { .. })));
    let small = Limits { chart_bytes_max: 9, ..Limits::default() };
    let error = unpack_within(&bytes, &small).unwrap_err().to_string();
    assert_eq!(error, "`c.tgz` is larger than 9 bytes (chart_bytes_max)");
    let enough = Limits { chart_entries_max: 3, chart_bytes_max: 4_096, ..Limits::default() };
    unpack_within(&bytes, &enough).unwrap();
}

#[test]
fn a_bomb_does_not_go_off() {
    let zeroes = vec![0; 8 * 1024 * 1024];
    let bytes = archive(&[("zeroes", EntryType::Regular, &zeroes)]);
    let error = unpack_all(&bytes).unwrap_err();
    assert!(matches!(error, InputError::Ratio { ratio_max: 100, .. }), "{error}");
    let generous = Limits { archive_ratio_max: 10_000, ..Limits::default() };
    unpack_within(&bytes, &generous).unwrap();
    let small = Limits { chart_bytes_max: 4 * 1024 * 1024, ..generous };
    let error = unpack_within(&bytes, &small).unwrap_err();
    assert!(matches!(error, InputError::TooLarge { .. }), "{error}");
}

#[test]
fn what_is_no_archive_is_said() {
    let whole = archive(&[("c/Chart.yaml", EntryType::Regular, b"name: c")]);
    for bytes in [&b"plain text"[..], b"", &whole[..whole.len() / 2]] {
        let error = unpack_all(bytes).unwrap_err();
        assert!(matches!(error, InputError::NoArchive { .. }), "{error}");
    }
}
