//! The one table of what tests need from the machine beside the compiler. `cargo xtask test` reads this very
//! file, to install such things or to say what must be skipped: so it uses the standard library only, and
//! knows nothing of tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One thing that a test can need.
#[derive(Debug)]
pub struct Need {
    /// What tests call it.
    pub name: &'static str,
    /// What is done with it, for people.
    pub purpose: &'static str,
    /// The Debian packages that bring it; none where it is made here.
    pub apt: &'static [&'static str],
    /// The npm packages that must be among those of `crates/testkit/node`.
    npm: &'static [&'static str],
    /// The programs that must be on the path.
    programs: &'static [&'static str],
    /// What must hold besides; the error says what is wrong.
    check: fn() -> Result<(), String>,
}

/// Everything that a test may ask for by name.
pub const NEEDS: &[Need] = &[
    Need {
        name: "netns",
        purpose: "hosts as network namespaces, each behind a NAT of its own",
        apt: &["hostname", "iproute2", "nftables", "util-linux"],
        npm: &[],
        programs: &["ip", "tc", "nft", "unshare", "hostname"],
        check: may_add_network,
    },
    Need {
        name: "postgres",
        purpose: "the store's contract on PostgreSQL",
        apt: &["postgresql"],
        npm: &[],
        programs: &["setpriv"],
        check: has_initdb,
    },
    Need {
        name: "mount",
        purpose: "file systems that are full or read-only",
        apt: &["mount"],
        npm: &[],
        programs: &["mount", "umount"],
        check: is_root,
    },
    Need {
        name: "openssl",
        purpose: "certificates and TLS as OpenSSL sees them",
        apt: &["openssl"],
        npm: &[],
        programs: &["openssl"],
        check: nothing_else,
    },
    Need {
        name: "curl",
        purpose: "HTTPS as curl speaks it",
        apt: &["curl"],
        npm: &[],
        programs: &["curl"],
        check: nothing_else,
    },
    Need {
        name: "socat",
        purpose: "plain TCP services and clients",
        apt: &["socat"],
        npm: &[],
        programs: &["socat"],
        check: nothing_else,
    },
    Need {
        name: "python",
        purpose: "TLS as Python's ssl module checks it, and a small HTTP server",
        apt: &["python3"],
        npm: &[],
        programs: &["python3"],
        check: nothing_else,
    },
    Need {
        name: "smtp",
        purpose: "a mail server that shows what it took",
        apt: &["python3", "python3-venv"],
        npm: &[],
        programs: &["python3"],
        check: || has_python("aiosmtpd"),
    },
    Need {
        name: "schemathesis",
        purpose: "the API, tried by what its description says",
        apt: &["python3", "python3-venv"],
        npm: &[],
        programs: &["python3"],
        check: || has_python("schemathesis"),
    },
    Need {
        name: "not-my-board",
        purpose: "the farm's programs that Nave stands in for, as clients",
        apt: &["python3", "python3-venv"],
        npm: &[],
        programs: &["python3", "mount", "unshare"],
        check: || has_python("not_my_board"),
    },
    Need {
        name: "not-my-board-0.12",
        purpose: "the same programs as they were a version earlier",
        apt: &["python3", "python3-venv"],
        npm: &[],
        programs: &["python3", "mount", "unshare"],
        check: || match older_python() {
            Some(folder) if folder.join("not_my_board").is_dir() => has_python("not_my_board"),
            _ => Err("it was not installed since the last clean build".to_owned()),
        },
    },
    Need {
        name: "systemd",
        purpose: "systemd's own checks of the units",
        apt: &["systemd"],
        npm: &[],
        programs: &["systemd-analyze"],
        check: nothing_else,
    },
    Need {
        name: "nspawn",
        purpose: "a booted Debian with a running systemd, to install the package in",
        apt: &["dpkg", "mmdebstrap", "systemd-container", "util-linux"],
        npm: &[],
        programs: &["systemd-nspawn", "mmdebstrap", "nsenter", "setpriv", "dpkg-deb"],
        check: is_root,
    },
    Need {
        name: "vm",
        purpose: "a virtual machine with Debian's kernel, to plug USB devices in",
        apt: &["busybox-static", "dpkg", "qemu-system-x86", "util-linux"],
        npm: &[],
        programs: &["qemu-system-x86_64", "busybox", "dpkg-deb", "apt-get", "setpriv"],
        check: is_root,
    },
    Need {
        name: "chromium",
        purpose: "the console as a browser shows it, and as people see it",
        apt: &["chromium", "chromium-driver", "fonts-inter", "fonts-jetbrains-mono"],
        npm: &[],
        programs: &["chromium", "chromedriver"],
        check: nothing_else,
    },
    Need {
        name: "axe",
        purpose: "what keeps people from using a page, as axe-core finds it",
        apt: &[],
        npm: &["axe-core"],
        programs: &[],
        check: nothing_else,
    },
    Need {
        name: "oidc",
        purpose: "a real provider of sign-in by OpenID Connect",
        apt: &["nodejs", "npm"],
        npm: &["jose", "oidc-provider"],
        programs: &["node", "npm"],
        check: has_node,
    },
    Need {
        name: "socket-io",
        purpose: "the client library of NAISYS's runners",
        apt: &["nodejs", "npm"],
        npm: &["socket.io-client"],
        programs: &["node", "npm"],
        check: has_node,
    },
    Need {
        name: "mcp",
        purpose: "a client of the Model Context Protocol",
        apt: &["nodejs", "npm"],
        npm: &["@modelcontextprotocol/sdk"],
        programs: &["node", "npm"],
        check: has_node,
    },
    Need {
        name: "package",
        purpose: "our own Debian package, which `cargo xtask package` makes",
        apt: &[],
        npm: &[],
        programs: &[],
        check: has_package,
    },
];

impl Need {
    /// Whether the machine has it; the error says what is missing.
    pub fn present(&self) -> Result<(), String> {
        self.present_from_system()?;
        self.present_from_npm()
    }

    /// As [`Need::present`], for what the system's packages bring.
    pub fn present_from_system(&self) -> Result<(), String> {
        for program in self.programs {
            if find_program(program).is_none() {
                return Err(format!("there is no `{program}` on the path"));
            }
        }
        (self.check)()
    }

    /// As [`Need::present`], for what npm brings.
    pub fn present_from_npm(&self) -> Result<(), String> {
        if self.npm.is_empty() {
            return Ok(());
        }
        let packages = node_packages().ok_or("this program does not run where cargo built it")?;
        match self.npm.iter().find(|name| !packages.join("node_modules").join(name).is_dir()) {
            Some(name) => Err(format!("there is no npm package `{name}` in {}", packages.display())),
            None => Ok(()),
        }
    }
}

/// The first executable of that name on the path.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| is_executable(program))
}

fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    program.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The folder of PostgreSQL's server programs with the highest version, as Debian lays them out.
pub fn postgres_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    versions
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version: u32 = entry.file_name().to_str()?.parse().ok()?;
            let programs = entry.path().join("bin");
            is_executable(&programs.join("initdb")).then_some((version, programs))
        })
        .max()
        .map(|(_, programs)| programs)
}

#[expect(clippy::unnecessary_wraps, reason = "it stands in a table of checks that can fail")]
fn nothing_else() -> Result<(), String> {
    Ok(())
}

fn has_initdb() -> Result<(), String> {
    match postgres_programs() {
        Some(_) => Ok(()),
        None => Err("there is no initdb below /usr/lib/postgresql".to_owned()),
    }
}

/// What cargo builds in: above this program, marked as a cache, and not the folder of one platform in it, which is too.
pub fn build_folder() -> Option<PathBuf> {
    let is_marked = |folder: &&Path| folder.join("CACHEDIR.TAG").is_file();
    let program = std::env::current_exe().ok()?;
    let marked = program.ancestors().find(is_marked)?;
    Some(marked.parent().filter(is_marked).unwrap_or(marked).to_owned())
}

/// The folder of Python packages that `cargo xtask test --install` makes, below the one that cargo builds in.
pub const PYTHON: &str = "python";

/// In that folder: the older version of not-my-board, for whoever has it first in `PYTHONPATH`.
pub const OLDER_PYTHON: &str = "older";

/// The Python that has a package from the Python registry, if it was installed.
pub fn python(package: &str) -> Option<PathBuf> {
    let folder = build_folder()?.join(PYTHON);
    let has = |library: PathBuf| library.join("site-packages").join(package).is_dir();
    let mut libraries = std::fs::read_dir(folder.join("lib")).ok()?.flatten();
    libraries.any(|library| has(library.path())).then(|| folder.join("bin/python"))
}

/// Where that version is, if it was installed.
pub fn older_python() -> Option<PathBuf> {
    Some(build_folder()?.join(PYTHON).join(OLDER_PYTHON))
}

fn has_python(package: &str) -> Result<(), String> {
    match python(package) {
        Some(_) => Ok(()),
        None => Err(format!("{package} was not installed since the last clean build")),
    }
}

fn has_package() -> Result<(), String> {
    match packages() {
        Some(_) => Ok(()),
        None => Err("`cargo xtask package` was not run since the last clean build".to_owned()),
    }
}

/// The folder that `cargo xtask package` leaves its work in, if it did, below the one that cargo builds in.
pub fn packages() -> Option<PathBuf> {
    let folder = build_folder()?.join("package");
    folder.join("nave").is_file().then_some(folder)
}

/// The folder that npm's packages are installed in; their own folder in it is `node_modules`.
pub fn node_packages() -> Option<PathBuf> {
    Some(build_folder()?.join("node"))
}

/// Debian 12's is too old.
fn has_node() -> Result<(), String> {
    let answer = Command::new("node")
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .map_err(|why| format!("node could not be started: {why}"))?;
    let version = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
    let major = version.strip_prefix('v').and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    if major >= Some(20) { Ok(()) } else { Err(format!("Node.js is {version:?}, and 20 is the least")) }
}

fn is_root() -> Result<(), String> {
    let status = std::fs::read_to_string("/proc/self/status").map_err(|why| why.to_string())?;
    let effective = status
        .lines()
        .find_map(|line| line.strip_prefix("Uid:"))
        .and_then(|ids| ids.split_whitespace().nth(1))
        .ok_or("/proc/self/status names no user")?;
    if effective == "0" { Ok(()) } else { Err("only root may do this".to_owned()) }
}

fn may_add_network() -> Result<(), String> {
    is_root()?;
    // Root in a container often may not; only trying tells. `unshare` leaves nothing behind.
    let answer = Command::new("unshare")
        .args(["--net", "ip", "link", "add", "probe", "type", "bridge"])
        .stdin(Stdio::null())
        .output()
        .map_err(|why| format!("unshare could not be started: {why}"))?;
    if answer.status.success() {
        Ok(())
    } else {
        let said = String::from_utf8_lossy(&answer.stderr);
        Err(format!("root may not make a network namespace here: {}", said.trim()))
    }
}
