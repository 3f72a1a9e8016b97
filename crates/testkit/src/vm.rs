//! A virtual machine with Debian's own kernel, for what needs modules that this computer's kernel may not have: a test
//! runs itself inside. The machine sees this computer's files, and what it changes is gone with it.

mod image;

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::process::Command;

/// Set for what runs inside.
const INSIDE: &str = "NAVE_TEST_INSIDE_MACHINE";
/// How long the machine may take: its processor is emulated, on a computer that has other work.
const PATIENCE: Duration = Duration::from_mins(5);

/// Whether this test runs in a machine that [`run_inside`] started.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// Boots a machine, and in it runs the test of this name of this very program, for which [`is_inside`] is true. It is
/// root there, with the modules that tests of USB and of [networks](crate::net) need, and nothing but loopback for a
/// network.
///
/// # Errors
///
/// When the machine does not boot, or the test does not pass in it; ask [`need`](crate::need())`("vm")` first. The error
/// has what the test printed, and what the kernel did.
pub async fn run_inside(test: &str) -> anyhow::Result<()> {
    let image = tokio::task::spawn_blocking(image::get).await??;
    let job = tempfile::Builder::new().prefix("nave-vm-").tempdir().context("a folder for the machine")?;
    let program = std::env::current_exe().context("finding this program")?;
    let folder = std::env::current_dir().context("finding this folder")?;
    std::fs::write(
        job.path().join("run"),
        format!(
            "cd {}\nexport {INSIDE}=1 HOME=/root PATH={PATH}\nexec {} --exact {test} --include-ignored --nocapture\n",
            quoted(&folder)?,
            quoted(&program)?,
        ),
    )?;
    let console = job.path().join("console");
    let log = File::create(&console).context("a file for the machine's console")?;
    let share = |id: &str, path: &Path, more: &str| {
        format!("local,id={id},path={},security_model=none,multidevs=remap{more}", path.display())
    };
    // A test that is killed must not leave a machine behind.
    let mut machine = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-no-reboot"])
        // Not KVM, even where there is one: it may be of a kind that hangs stock kernels.
        .args([
            "-accel", "tcg", "-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "1024", "-display", "none",
        ])
        .arg("-kernel")
        .arg(&image.kernel)
        .arg("-initrd")
        .arg(&image.initramfs)
        .args(["-append", "console=ttyS0 loglevel=7 panic=-1 random.trust_cpu=on", "-serial", "stdio"])
        .args(["-fsdev", &share("root", Path::new("/"), ",readonly=on")])
        .args(["-device", "virtio-9p-pci,fsdev=root,mount_tag=root"])
        .args(["-fsdev", &share("job", job.path(), "")])
        .args(["-device", "virtio-9p-pci,fsdev=job,mount_tag=job", "-device", "virtio-rng-pci"])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .context("starting qemu-system-x86_64")?;
    let ended = tokio::time::timeout(PATIENCE, machine.wait()).await;
    let read = |name: &str| {
        let bytes = std::fs::read(job.path().join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let said =
        || format!("--- the test in the machine:\n{}\n--- its console:\n{}", read("output"), read("console"));
    match ended {
        Err(_) => bail!("the machine did not end within {} s\n{}", PATIENCE.as_secs(), said()),
        Ok(status) => ensure!(status?.success(), "qemu failed\n{}", said()),
    }
    ensure!(read("status").trim() == "0", "the test failed in the machine\n{}", said());
    // A name that no test has is a success for the test runner.
    ensure!(read("output").contains("1 passed"), "no test of this name is in the machine\n{}", said());
    print(&read("output"));
    Ok(())
}

/// What the tests inside find programs by; `modprobe` is the first folder's.
const PATH: &str = "/run/nave-vm/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn quoted(path: &Path) -> anyhow::Result<String> {
    let path = path.to_str().context("a path that is not text")?;
    ensure!(!path.contains('\''), "a path with a quote: {path}");
    Ok(format!("'{path}'"))
}

#[expect(clippy::print_stdout, reason = "what the test inside prints is shown like what a test prints")]
fn print(text: &str) {
    println!("{text}");
}
