//! File systems that other machines may write to, whose changes this one does not hear of.

use std::path::Path;

/// Whether `path` is on such a file system; false where it cannot be told.
pub fn is_remote(path: &Path) -> bool {
    // statfs(2): NFS, SMB, CIFS, 9p, FUSE, Ceph.
    const REMOTE: [u64; 6] = [
        0x6969,
        0xfe53_4d42,
        0xff53_4d42,
        0x0102_1997,
        0x6573_5546,
        0x00c3_6400,
    ];
    rustix::fs::statfs(path)
        .is_ok_and(|fs| u64::try_from(fs.f_type).is_ok_and(|kind| REMOTE.contains(&kind)))
}
