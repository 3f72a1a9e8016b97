//! A USB device that is exported: which driver has it, whether it is free, and how its driver is given back.

use std::os::fd::RawFd;
use std::path::PathBuf;

use super::busid::BusId;
use super::error::UsbError;
use super::sysfs::{self, Sysfs};
use super::wire::{ImportReply, Speed};

const DRIVER: &str = "usbip-host";

/// A port of this machine whose device is exported. The device itself may come and go.
#[derive(Clone, Debug)]
pub struct Device {
    sysfs: Sysfs,
    busid: BusId,
}

/// What can be done with a device now; `usbip_status` in sysfs, numbered in `include/uapi/linux/usbip.h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing is plugged in.
    Gone,
    /// Another driver has it.
    NotBound,
    /// It can be exported.
    Available,
    /// It is exported.
    Exported,
    /// The kernel gave up on it.
    Broken,
}

impl Device {
    /// The device on a port.
    pub fn new(sysfs: Sysfs, busid: BusId) -> Self {
        Self { sysfs, busid }
    }

    /// Its port.
    pub fn busid(&self) -> &BusId {
        &self.busid
    }

    pub(super) fn sysfs(&self) -> &Sysfs {
        &self.sysfs
    }

    fn file(&self, name: &str) -> PathBuf {
        self.sysfs.usb("devices").join(self.busid.as_str()).join(name)
    }

    fn exists(&self) -> bool {
        self.file("").exists()
    }

    /// The driver that has the device, if one has.
    pub fn driver(&self) -> Option<String> {
        let target = std::fs::read_link(self.file("driver")).ok()?;
        Some(target.file_name()?.to_string_lossy().into_owned())
    }

    /// What can be done with it now.
    pub fn status(&self) -> Result<Status, UsbError> {
        match sysfs::number::<u32>(&self.file("usbip_status")) {
            Ok(1) => Ok(Status::Available),
            Ok(2) => Ok(Status::Exported),
            Ok(_) => Ok(Status::Broken),
            Err(why) if why.is_vanished() => Ok(if self.exists() { Status::NotBound } else { Status::Gone }),
            Err(why) => Err(why),
        }
    }

    /// Its address on the bus: another one when it was plugged in again.
    pub(super) fn devnum(&self) -> Option<u32> {
        sysfs::number(&self.file("devnum")).ok()
    }

    /// What an importer is told about it. May block for as long as the kernel does something else with the device.
    pub fn describe(&self) -> Result<ImportReply, UsbError> {
        if !self.exists() {
            return Err(UsbError::NoDevice(self.busid.clone()));
        }
        Ok(ImportReply {
            // The name by which every Linux knows it, wherever sysfs is.
            path: format!("/sys/bus/usb/devices/{}", self.busid),
            busid: self.busid.clone(),
            busnum: sysfs::number(&self.file("busnum"))?,
            devnum: sysfs::number(&self.file("devnum"))?,
            speed: Speed::from_sysfs(&sysfs::text(&self.file("speed"))?).for_kernel(),
            vendor: sysfs::hexadecimal(&self.file("idVendor"))?,
            product: sysfs::hexadecimal(&self.file("idProduct"))?,
            release: sysfs::hexadecimal(&self.file("bcdDevice"))?,
            class: sysfs::hexadecimal(&self.file("bDeviceClass"))?,
            subclass: sysfs::hexadecimal(&self.file("bDeviceSubClass"))?,
            protocol: sysfs::hexadecimal(&self.file("bDeviceProtocol"))?,
            configuration: sysfs::hexadecimal(&self.file("bConfigurationValue"))?,
            configurations: sysfs::hexadecimal(&self.file("bNumConfigurations"))?,
            interfaces: sysfs::hexadecimal(&self.file("bNumInterfaces"))?,
        })
    }

    /// Takes the device from its driver and gives it to `usbip-host`; nothing is done where that is so, or where no
    /// device is.
    pub(super) async fn bind(&self) -> Result<(), UsbError> {
        let driver = self.driver();
        if driver.as_deref() == Some(DRIVER) || !self.exists() {
            return Ok(());
        }
        let ours = self.sysfs.usb("drivers").join(DRIVER);
        if !ours.exists() {
            sysfs::modprobe(DRIVER).await?;
        }
        // It is never taken out again: an entry that is deleted while its device is bound is dead until the module is
        // loaded anew, and one that stays takes no device that the default driver wants.
        sysfs::write(ours.join("match_busid"), format!("add {}", self.busid)).await?;
        let devnum = self.devnum();
        if let Some(driver) = driver {
            tracing::info!("taking the USB device {} from its driver {driver}", self.busid);
            self.vanishing(sysfs::write(self.file("driver/unbind"), self.busid.to_string()).await)?;
        }
        let bound = sysfs::write(ours.join("bind"), self.busid.to_string()).await;
        if bound.is_err() && self.devnum() == devnum && self.driver().is_none() {
            tracing::debug!("{}: {bound:?}", self.busid);
            self.restore().await?;
            return Err(UsbError::NotLendable(self.busid.clone()));
        }
        self.vanishing(bound)
    }

    /// Starts exporting over a socket, which the kernel takes a copy of.
    pub(super) fn export_now(&self, socket: RawFd) -> Result<(), UsbError> {
        sysfs::write_now(&self.file("usbip_sockfd"), &format!("{socket}\n"))
    }

    /// Ends exporting, if it was not over; blocks for up to a quarter of a second.
    pub(super) fn stop_export_now(&self) {
        // Refused when the importer has left, when the device is gone, and when it was plugged in again meanwhile.
        if let Err(why) = sysfs::write_now(&self.file("usbip_sockfd"), "-1\n") {
            tracing::debug!("{}: nothing to stop: {why}", self.busid);
        }
    }

    /// Ends what an exporter that was killed left behind.
    pub(super) async fn recover(&self) -> Result<(), UsbError> {
        if self.driver().as_deref() != Some(DRIVER) {
            return Ok(());
        }
        tracing::info!(
            "the USB device {} was left by an exporter that ended without giving it back",
            self.busid
        );
        self.restore().await
    }

    /// Gives the device back to the driver that the kernel would choose; what is still exported ends.
    pub async fn restore(&self) -> Result<(), UsbError> {
        match self.driver() {
            Some(driver) if driver == DRIVER => {
                let ours = self.sysfs.usb("drivers").join(DRIVER);
                self.vanishing(sysfs::write(ours.join("unbind"), self.busid.to_string()).await)?;
            }
            None if self.exists() => {}
            Some(_) | None => return Ok(()),
        }
        tracing::info!("giving the USB device {} back to its default driver", self.busid);
        self.vanishing(sysfs::write(self.sysfs.usb("drivers_probe"), self.busid.to_string()).await)
    }

    /// A device that is unplugged while it is worked with is no error: it will come back.
    fn vanishing(&self, done: Result<(), UsbError>) -> Result<(), UsbError> {
        match done {
            Err(why) if why.is_vanished() || !self.exists() => {
                tracing::debug!("{} vanished: {why}", self.busid);
                Ok(())
            }
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    /// A folder that looks like `/sys` with a board on `1-4.2`, without drivers.
    fn machine() -> (tempfile::TempDir, Device) {
        let folder = tempfile::tempdir().unwrap();
        let device = folder.path().join("bus/usb/devices/1-4.2");
        fs::create_dir_all(&device).unwrap();
        for (file, text) in [
            ("busnum", "1\n"),
            ("devnum", "17\n"),
            ("speed", "20000\n"),
            ("idVendor", "1d6b\n"),
            ("idProduct", "0104\n"),
            ("bcdDevice", "0601\n"),
            ("bDeviceClass", "ef\n"),
            ("bDeviceSubClass", "02\n"),
            ("bDeviceProtocol", "01\n"),
            ("bConfigurationValue", "\n"),
            ("bNumConfigurations", "1\n"),
            ("bNumInterfaces", "\n"),
        ] {
            fs::write(device.join(file), text).unwrap();
        }
        let sysfs = Sysfs::new(folder.path(), folder.path());
        (folder, Device::new(sysfs, "1-4.2".parse().unwrap()))
    }

    #[test]
    fn a_device_is_described_as_every_agent_understands() {
        let (folder, device) = machine();
        let told = device.describe().unwrap();
        assert_eq!(told.path, "/sys/bus/usb/devices/1-4.2");
        assert_eq!((told.busnum, told.devnum, told.speed), (1, 17, Speed::Super));
        assert_eq!((told.vendor, told.product, told.release), (0x1d6b, 0x0104, 0x0601));
        assert_eq!((told.class, told.configuration, told.interfaces), (0xef, 0, 0));
        fs::write(folder.path().join("bus/usb/devices/1-4.2/bDeviceClass"), "100\n").unwrap();
        assert!(device.describe().unwrap_err().to_string().contains("bDeviceClass"));
        fs::remove_dir_all(folder.path().join("bus/usb/devices/1-4.2")).unwrap();
        assert_eq!(
            device.describe().unwrap_err().to_string(),
            "there is no USB device at 1-4.2; is it plugged in and switched on?"
        );
    }

    #[test]
    fn what_can_be_done_with_a_device_is_known() {
        let (folder, device) = machine();
        let files = folder.path().join("bus/usb/devices/1-4.2");
        assert_eq!(device.status().unwrap(), Status::NotBound);
        assert_eq!(device.driver(), None);
        symlink("../../../drivers/usbip-host", files.join("driver")).unwrap();
        assert_eq!(device.driver().as_deref(), Some("usbip-host"));
        for (text, status) in [("1\n", Status::Available), ("2\n", Status::Exported), ("3\n", Status::Broken)]
        {
            fs::write(files.join("usbip_status"), text).unwrap();
            assert_eq!(device.status().unwrap(), status);
        }
        fs::write(files.join("usbip_status"), "?\n").unwrap();
        assert!(device.status().is_err());
        fs::remove_dir_all(files).unwrap();
        assert_eq!(device.status().unwrap(), Status::Gone);
    }
}
