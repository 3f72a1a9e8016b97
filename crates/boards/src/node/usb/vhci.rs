//! The kernel's virtual USB host controllers: which port a wish means, what is attached to it, and how something is.

use std::os::fd::RawFd;
use std::path::PathBuf;

use super::error::UsbError;
use super::sysfs::{self, Sysfs};
use super::wire::{ImportReply, Speed};

const MODULE: &str = "vhci-hcd";

/// The virtual host controllers of this machine. Each has two root hubs, one for USB 2 and one for USB 3, with equally
/// many ports; the kernel counts the ports of the first controller's USB 2 hub first, then those of its USB 3 hub, then
/// the next controller's.
#[derive(Clone, Debug)]
pub struct Vhci {
    sysfs: Sysfs,
    /// Ports of one root hub.
    hub_ports: u32,
    /// Ports of all root hubs.
    ports: u32,
}

/// What a port is doing; `sta` in the controller's status, numbered in `include/uapi/linux/usbip.h`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortStatus {
    /// Nothing is attached.
    Free,
    /// Something is being attached.
    Connecting,
    /// A device is attached, and this kernel calls it so.
    Attached(String),
    /// The kernel could not work with it.
    Broken,
}

impl Vhci {
    /// The controllers, which are made by loading their module if they are not there.
    pub async fn open(sysfs: &Sysfs) -> Result<Self, UsbError> {
        if let Some(there) = Self::find(sysfs)? {
            return Ok(there);
        }
        sysfs::modprobe(MODULE).await?;
        Self::find(sysfs)?.ok_or_else(|| UsbError::Module {
            module: MODULE,
            problem: "it is loaded, but made no controller".to_owned(),
        })
    }

    /// The controllers, if there are any.
    pub fn find(sysfs: &Sysfs) -> Result<Option<Self>, UsbError> {
        let first = controller(sysfs, 0);
        if !first.exists() {
            return Ok(None);
        }
        let ports: u32 = sysfs::number(&first.join("nports"))?;
        let folder = sysfs.platform();
        let entries =
            std::fs::read_dir(&folder).map_err(UsbError::system(format!("reading {}", folder.display())))?;
        let controllers = entries
            .flatten()
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("vhci_hcd."))
            .count();
        let hub_ports = ports / u32::try_from(controllers).unwrap_or(u32::MAX) / 2;
        if hub_ports == 0 {
            return Ok(None);
        }
        Ok(Some(Self { sysfs: sysfs.clone(), hub_ports, ports }))
    }

    fn check(&self, port_num: u32) -> Result<(), UsbError> {
        let max = (self.ports / 2).saturating_sub(1);
        if port_num > max { Err(UsbError::PortOutOfRange { max, got: port_num }) } else { Ok(()) }
    }

    /// The kernel's number for the port that an import description calls `port_num`, for a device of this speed.
    pub fn port(&self, port_num: u32, speed: Speed) -> Result<u32, UsbError> {
        self.check(port_num)?;
        let (controller, port) = (port_num / self.hub_ports, port_num % self.hub_ports);
        let hub = if speed.for_kernel() == Speed::Super { self.hub_ports } else { 0 };
        Ok(controller * self.hub_ports * 2 + hub + port)
    }

    /// What a device on this port may be called: on the controller's USB 2 hub or on its USB 3 hub. Written `1-1/2-1`
    /// in not-my-board's tables.
    pub fn busids(&self, port_num: u32) -> Result<Vec<String>, UsbError> {
        self.check(port_num)?;
        let folder = controller(&self.sysfs, port_num / self.hub_ports);
        let entries =
            std::fs::read_dir(&folder).map_err(UsbError::system(format!("reading {}", folder.display())))?;
        let mut buses: Vec<u32> = entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.strip_prefix("usb")?.parse().ok())
            .collect();
        buses.sort_unstable();
        Ok(buses.into_iter().map(|bus| format!("{bus}-{}", port_num % self.hub_ports + 1)).collect())
    }

    /// What a port is doing, by the kernel's number.
    pub fn status(&self, port: u32) -> Result<PortStatus, UsbError> {
        let name = match port / (self.hub_ports * 2) {
            0 => "status".to_owned(),
            controller => format!("status.{controller}"),
        };
        let file = controller(&self.sysfs, 0).join(name);
        let table = sysfs::text(&file)?;
        // hub port sta spd dev      sockfd local_busid
        let row = table.lines().skip(1).find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [_, number, state, _, _, _, busid] = words[..] else { return None };
            (number.parse() == Ok(port)).then(|| (state.parse::<u32>().ok(), busid.to_owned()))
        });
        match row {
            Some((Some(4), _)) => Ok(PortStatus::Free),
            Some((Some(5), _)) => Ok(PortStatus::Connecting),
            Some((Some(6), busid)) => Ok(PortStatus::Attached(busid)),
            Some((Some(7), _)) => Ok(PortStatus::Broken),
            _ => {
                let problem = std::io::Error::other(format!("it says nothing of port {port} that is known"));
                Err(UsbError::system(format!("reading {}", file.display()))(problem))
            }
        }
    }

    /// Attaches a device that was handed over on a socket, which the kernel takes a copy of.
    pub(super) fn attach_now(&self, port: u32, socket: RawFd, device: &ImportReply) -> Result<(), UsbError> {
        let line = format!("{port} {socket} {} {}\n", device.devid(), device.speed.for_kernel() as u32);
        match sysfs::write_now(&controller(&self.sysfs, 0).join("attach"), &line) {
            Err(UsbError::System { source, .. }) if source.raw_os_error() == Some(nix::libc::EBUSY) => {
                Err(UsbError::PortInUse { port, by: None })
            }
            other => other,
        }
    }

    /// Detaches whatever is on a port; returns at once, the kernel does it in its own time.
    pub(super) fn detach_now(&self, port: u32) {
        // Refused when nothing is attached, which is what is wanted.
        if let Err(why) = sysfs::write_now(&controller(&self.sysfs, 0).join("detach"), &format!("{port}\n")) {
            tracing::debug!("port {port} was free already: {why}");
        }
    }

    pub(super) fn sysfs(&self) -> &Sysfs {
        &self.sysfs
    }
}

fn controller(sysfs: &Sysfs, number: u32) -> PathBuf {
    sysfs.platform().join(format!("vhci_hcd.{number}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Two controllers with two ports a hub; their buses are 5 to 8.
    fn machine() -> (tempfile::TempDir, Vhci) {
        let folder = tempfile::tempdir().unwrap();
        let platform = folder.path().join("devices/platform");
        for bus in ["vhci_hcd.0/usb5", "vhci_hcd.0/usb6", "vhci_hcd.1/usb8", "vhci_hcd.1/usb7", "serial8250"]
        {
            fs::create_dir_all(platform.join(bus)).unwrap();
        }
        fs::write(platform.join("vhci_hcd.0/nports"), "8\n").unwrap();
        let head = "hub port sta spd dev      sockfd local_busid\n";
        let first = "hs  0000 006 003 00010002 000003 5-1\nhs  0001 004 000 00000000 000000 0-0\n\
                     ss  0002 005 005 00010003 000004 0-0\nss  0003 007 000 00000000 000000 0-0\n";
        fs::write(platform.join("vhci_hcd.0/status"), format!("{head}{first}")).unwrap();
        let second = "hs  0004 004 000 00000000 000000 0-0\n";
        fs::write(platform.join("vhci_hcd.0/status.1"), format!("{head}{second}")).unwrap();
        let sysfs = Sysfs::new(folder.path(), folder.path());
        let vhci = Vhci::find(&sysfs).unwrap().unwrap();
        (folder, vhci)
    }

    #[test]
    fn ports_are_counted_controller_by_controller_and_hub_by_hub() {
        let (_folder, vhci) = machine();
        let ports = |speed| (0..4).map(|number| vhci.port(number, speed).unwrap()).collect::<Vec<_>>();
        assert_eq!(ports(Speed::High), [0, 1, 4, 5]);
        assert_eq!(ports(Speed::Low), [0, 1, 4, 5]);
        assert_eq!(ports(Speed::Super), [2, 3, 6, 7]);
        assert_eq!(ports(Speed::SuperPlus), [2, 3, 6, 7]);
        assert_eq!(ports(Speed::Unknown), [2, 3, 6, 7]);
        for speed in [Speed::Full, Speed::Super] {
            assert_eq!(
                vhci.port(4, speed).unwrap_err().to_string(),
                "Configured port_num is out of range. Expected max 3, got 4"
            );
        }
        assert!(vhci.port(u32::MAX, Speed::Super).is_err());
    }

    #[test]
    fn a_port_is_called_by_both_buses_of_its_controller() {
        let (_folder, vhci) = machine();
        let busids = |number| vhci.busids(number).unwrap().join("/");
        assert_eq!((0..4).map(busids).collect::<Vec<_>>(), ["5-1/6-1", "5-2/6-2", "7-1/8-1", "7-2/8-2"]);
        assert!(vhci.busids(4).is_err());
    }

    #[test]
    fn the_status_of_a_port_is_in_its_controllers_table() {
        let (folder, vhci) = machine();
        assert_eq!(vhci.status(0).unwrap(), PortStatus::Attached("5-1".to_owned()));
        assert_eq!(vhci.status(1).unwrap(), PortStatus::Free);
        assert_eq!(vhci.status(2).unwrap(), PortStatus::Connecting);
        assert_eq!(vhci.status(3).unwrap(), PortStatus::Broken);
        assert_eq!(vhci.status(4).unwrap(), PortStatus::Free);
        assert!(vhci.status(5).unwrap_err().to_string().contains("port 5"));
        fs::remove_file(folder.path().join("devices/platform/vhci_hcd.0/status.1")).unwrap();
        assert!(vhci.status(4).is_err());
    }

    #[test]
    fn a_machine_without_controllers_has_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Vhci::find(&Sysfs::new(folder.path(), folder.path())).unwrap().is_none());
    }
}
