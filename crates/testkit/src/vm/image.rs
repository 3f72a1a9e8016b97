//! What machines boot: Debian's kernel, and a file system in memory with busybox and the modules that are needed, made
//! once and kept beside the build.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// What the machine's first process does.
const INIT: &str = include_str!("init.sh");
/// The modules that are put in, with what they need.
const MODULES: &[&str] = &[
    "9p",
    "9pnet_virtio",
    "overlay",
    "virtio_pci",
    "virtio_rng", // the machine itself
    "configfs",
    "dummy_hcd",
    "libcomposite",
    "usb_f_acm",
    "usb_f_mass_storage", // the board
    "cdc_acm",
    "sd_mod",
    "usb-storage", // what uses the board
    "usbip-host",
    "vhci-hcd",
    "bridge",
    "crc32c_generic",
    "nft_chain_nat",
    "nft_ct",
    "nft_masq",
    "veth", // hosts as network namespaces
];

/// The files that a machine is started with.
pub(super) struct Image {
    pub(super) kernel: PathBuf,
    pub(super) initramfs: PathBuf,
}

/// The image, made if it is not there; others wait meanwhile.
pub(super) fn get() -> anyhow::Result<Image> {
    let folder = crate::need::build_folder()
        .context("no folder that cargo builds in is above this program")?
        .join("vm");
    fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    let lock = File::create(folder.join("lock")).context("the lock of the image")?;
    lock.lock().context("locking the image")?;

    let image = Image { kernel: folder.join("vmlinuz"), initramfs: folder.join("initramfs") };
    let recipe = folder.join("recipe");
    let wanted = format!("{}\n{INIT}", MODULES.join(" "));
    let is_made = [&image.kernel, &image.initramfs].into_iter().all(|file| file.is_file())
        && fs::read_to_string(&recipe).is_ok_and(|made_of| made_of == wanted);
    if !is_made {
        make(&folder, &image)?;
        fs::write(&recipe, wanted).context("noting what the image is made of")?;
    }
    Ok(image)
}

fn make(folder: &Path, image: &Image) -> anyhow::Result<()> {
    let draft =
        tempfile::Builder::new().prefix("draft-").tempdir_in(folder).context("a folder for the image")?;
    let package = download(draft.path())?;
    let tree = draft.path().join("package");
    run(Command::new("dpkg-deb").arg("-x").arg(package).arg(&tree))?;
    let release = only_entry(&tree.join("lib/modules"))?;
    let version =
        release.file_name().and_then(|name| name.to_str()).context("a kernel's version")?.to_owned();
    run(Command::new("busybox").arg("depmod").arg("-b").arg(&tree).arg(&version))?;

    let root = draft.path().join("root");
    for folder in ["bin", "dev", "job", "lib", "lower", "new", "proc", "sys", "upper"] {
        fs::create_dir_all(root.join(folder))?;
    }
    let busybox = crate::need::find_program("busybox").context("there is no busybox on the path")?;
    fs::copy(busybox, root.join("bin/busybox")).context("copying busybox")?;
    symlink("busybox", root.join("bin/sh")).context("linking a shell")?;
    fs::write(root.join("init"), INIT)?;
    fs::set_permissions(root.join("init"), fs::Permissions::from_mode(0o755))?;
    let modules = root.join("lib/modules").join(&version);
    for module in with_dependencies(&release)? {
        let to = modules.join(&module);
        fs::create_dir_all(to.parent().context("a module without a folder")?)?;
        fs::copy(release.join(&module), to).with_context(|| format!("copying the module {module}"))?;
    }
    // What is a part of the kernel is asked for as if it were a module.
    for list in ["modules.builtin", "modules.order"] {
        fs::copy(release.join(list), modules.join(list)).with_context(|| format!("copying {list}"))?;
    }
    run(Command::new("busybox").arg("depmod").arg("-b").arg(&root).arg(&version))?;
    pack(&root, &image.initramfs)?;
    let kernel = tree.join(format!("boot/vmlinuz-{version}"));
    fs::rename(kernel, &image.kernel).context("moving the kernel to its place")
}

/// Downloads the package of Debian's kernel, without installing it.
fn download(folder: &Path) -> anyhow::Result<PathBuf> {
    let update = || run(Command::new("apt-get").args(["update", "--quiet"]));
    let mut name = kernel();
    if name.is_none() {
        // A machine on which nothing was installed yet has no lists at all.
        update()?;
        name = kernel();
    }
    let name = name.context("apt knows no kernel linux-image-amd64, not even after `apt-get update`")?;
    let get = || {
        let mut get = Command::new("apt-get");
        // As this user: another may not write here.
        get.args(["download", "--quiet", "-o", "APT::Sandbox::User=root", &name]).current_dir(folder);
        run(&mut get)
    };
    if get().is_err() {
        // The list may be older than the last kernel.
        update()?;
        get()?;
    }
    only_entry(folder)
}

/// The package of the kernel that Debian has now, as far as apt knows.
fn kernel() -> Option<String> {
    let told = output(Command::new("apt-cache").args(["depends", "--important", "linux-image-amd64"]));
    // It fails for a package that it does not know.
    let told = told.unwrap_or_default();
    let name = told.lines().find_map(|line| line.trim().strip_prefix("Depends: "));
    name.map(ToOwned::to_owned)
}

/// The files of the modules and of all that they need, below the folder of a kernel's modules.
fn with_dependencies(release: &Path) -> anyhow::Result<BTreeSet<String>> {
    let table = fs::read_to_string(release.join("modules.dep")).context("what modules need")?;
    let needs: BTreeMap<&str, Vec<&str>> = table
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(module, needs)| (module, needs.split_whitespace().collect()))
        .collect();
    let builtin = fs::read_to_string(release.join("modules.builtin")).context("what needs no module")?;
    let named = |path: &str, name: &str| {
        let file = path.rsplit('/').next().unwrap_or_default();
        file.trim_end_matches(".ko").replace('-', "_") == name.replace('-', "_")
    };
    let mut wanted = BTreeSet::new();
    for &name in MODULES {
        if builtin.lines().any(|path| named(path, name)) {
            continue;
        }
        let (module, needed) = needs
            .iter()
            .find(|(path, _)| named(path, name))
            .with_context(|| format!("Debian's kernel has no module {name}"))?;
        wanted.insert((*module).to_owned());
        wanted.extend(needed.iter().map(|&path| path.to_owned()));
    }
    Ok(wanted)
}

/// Packs a folder as the kernel unpacks it into memory.
fn pack(root: &Path, archive: &Path) -> anyhow::Result<()> {
    let listed = output(Command::new("find").arg(".").current_dir(root))?;
    let draft = archive.with_extension("draft");
    let mut packing = Command::new("busybox")
        .args(["cpio", "-o", "-H", "newc"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(File::create(&draft).context("a file for the archive")?)
        .stderr(Stdio::null())
        .spawn()
        .context("starting busybox cpio")?;
    packing.stdin.take().context("its input")?.write_all(listed.as_bytes()).context("naming what to pack")?;
    let ended = packing.wait().context("packing")?;
    ensure!(ended.success(), "busybox cpio ended with {ended}");
    fs::rename(&draft, archive).context("moving the archive to its place")
}

/// The one file or folder in a folder.
fn only_entry(folder: &Path) -> anyhow::Result<PathBuf> {
    let entries: Vec<_> =
        fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?.collect();
    ensure!(entries.len() == 1, "{} things instead of one are in {}", entries.len(), folder.display());
    Ok(entries.into_iter().next().context("one")??.path())
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    output(command).map(drop)
}

fn output(command: &mut Command) -> anyhow::Result<String> {
    let shown = format!("{} {:?}", command.get_program().display(), command.get_args());
    let ended = command.stdin(Stdio::null()).output().with_context(|| format!("starting {shown}"))?;
    ensure!(ended.status.success(), "{shown}: {}: {}", ended.status, String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).with_context(|| format!("{shown} printed no text"))
}
