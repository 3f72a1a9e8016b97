//! The two messages of USB/IP that user space speaks, in version 1.1.1 of the protocol: a request to import a device
//! and its answer. After them the connection belongs to the kernels. Everything is big endian
//! (`Documentation/usb/usbip_protocol.rst` of the Linux kernel).

use super::busid::BusId;

/// The length of a request.
pub const REQUEST_LENGTH: usize = 40;
/// The length of a reply.
pub const REPLY_LENGTH: usize = 320;

const VERSION: u16 = 0x0111;
const REQUEST_CODE: u16 = 0x8003;
const REPLY_CODE: u16 = 0x0003;
const PATH_LENGTH: usize = 256;
const BUSID_LENGTH: usize = 32;

/// `OP_REQ_IMPORT`: a wish to use the device on a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRequest {
    /// The port, as the exporter's kernel calls it.
    pub busid: BusId,
}

/// `OP_REP_IMPORT`: the device, which is this connection's from now on. There is no reply that says no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportReply {
    /// Its folder in the exporter's sysfs.
    pub path: String,
    /// Its port.
    pub busid: BusId,
    /// The number of its bus.
    pub busnum: u32,
    /// Its address on the bus.
    pub devnum: u32,
    /// How fast it is connected.
    pub speed: Speed,
    /// Who made it.
    pub vendor: u16,
    /// What it is.
    pub product: u16,
    /// Its release, in binary-coded decimals.
    pub release: u16,
    /// Its class.
    pub class: u8,
    /// Its subclass.
    pub subclass: u8,
    /// Its protocol.
    pub protocol: u8,
    /// The configuration in use; 0 if none is.
    pub configuration: u8,
    /// How many configurations it has.
    pub configurations: u8,
    /// How many interfaces the configuration in use has; 0 if none is.
    pub interfaces: u8,
}

/// How fast a device is connected, numbered as the kernel's `enum usb_device_speed` (`include/uapi/linux/usb/ch9.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Speed {
    /// Not known. not-my-board's exporter says so of everything above 5 Gbit/s.
    Unknown = 0,
    /// 1.5 Mbit/s.
    Low = 1,
    /// 12 Mbit/s.
    Full = 2,
    /// 480 Mbit/s.
    High = 3,
    /// Wireless USB, 53.3 to 480 Mbit/s.
    Wireless = 4,
    /// 5 Gbit/s.
    Super = 5,
    /// 10 and 20 Gbit/s.
    SuperPlus = 6,
}

/// Bytes that are not the message that should be here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A constant has another value; the text names it as not-my-board does.
    #[error("Expected {field}={expected}, got={got}")]
    Constant {
        /// Which.
        field: &'static str,
        /// What the protocol says.
        expected: u32,
        /// What came.
        got: u32,
    },
    /// A text field is not text padded with zeros.
    #[error("the field {0} is not text with zeros after it")]
    Text(&'static str),
    /// A port that no kernel would name so.
    #[error(transparent)]
    BusId(#[from] super::busid::BusIdError),
    /// A speed that the kernel does not know.
    #[error("the kernel knows no speed number {0}")]
    Speed(u32),
}

impl ImportRequest {
    /// The bytes to send.
    pub fn encode(&self) -> [u8; REQUEST_LENGTH] {
        let mut bytes = [0; REQUEST_LENGTH];
        put_header(&mut bytes, REQUEST_CODE);
        put(&mut bytes, 8, self.busid.as_str().as_bytes());
        bytes
    }

    /// Reads what [`ImportRequest::encode`] writes and nothing else.
    pub fn decode(bytes: &[u8; REQUEST_LENGTH]) -> Result<Self, WireError> {
        let mut fields = Fields(bytes);
        fields.header(REQUEST_CODE)?;
        Ok(Self { busid: fields.text("busid", BUSID_LENGTH)?.parse()? })
    }
}

impl ImportReply {
    /// The bytes to send. A path that is too long is cut: nobody reads it but people who look at a recording.
    pub fn encode(&self) -> [u8; REPLY_LENGTH] {
        let mut bytes = [0; REPLY_LENGTH];
        put_header(&mut bytes, REPLY_CODE);
        let path_length = self.path.floor_char_boundary(PATH_LENGTH - 1);
        put(&mut bytes, 8, &self.path.as_bytes()[..path_length]);
        put(&mut bytes, 264, self.busid.as_str().as_bytes());
        put(&mut bytes, 296, &self.busnum.to_be_bytes());
        put(&mut bytes, 300, &self.devnum.to_be_bytes());
        put(&mut bytes, 304, &(self.speed as u32).to_be_bytes());
        put(&mut bytes, 308, &self.vendor.to_be_bytes());
        put(&mut bytes, 310, &self.product.to_be_bytes());
        put(&mut bytes, 312, &self.release.to_be_bytes());
        let rest = [
            self.class,
            self.subclass,
            self.protocol,
            self.configuration,
            self.configurations,
            self.interfaces,
        ];
        put(&mut bytes, 314, &rest);
        bytes
    }

    /// Reads what [`ImportReply::encode`] writes and nothing else.
    pub fn decode(bytes: &[u8; REPLY_LENGTH]) -> Result<Self, WireError> {
        let mut fields = Fields(bytes);
        fields.header(REPLY_CODE)?;
        Ok(Self {
            path: fields.text("path", PATH_LENGTH)?.to_owned(),
            busid: fields.text("busid", BUSID_LENGTH)?.parse()?,
            busnum: fields.u32(),
            devnum: fields.u32(),
            speed: fields.u32().try_into()?,
            vendor: fields.u16(),
            product: fields.u16(),
            release: fields.u16(),
            class: fields.u8(),
            subclass: fields.u8(),
            protocol: fields.u8(),
            configuration: fields.u8(),
            configurations: fields.u8(),
            interfaces: fields.u8(),
        })
    }

    /// The device's number in the packets that the kernels exchange.
    pub fn devid(&self) -> u32 {
        self.busnum << 16 | (self.devnum & 0xffff)
    }
}

impl Speed {
    /// Reads a device's `speed` in sysfs, which is in Mbit/s; what is not known there is not known here.
    pub fn from_sysfs(text: &str) -> Self {
        match text.trim() {
            "1.5" => Self::Low,
            "12" => Self::Full,
            "480" => Self::High,
            "53.3-480" => Self::Wireless,
            "5000" => Self::Super,
            "10000" | "20000" => Self::SuperPlus,
            _ => Self::Unknown,
        }
    }

    /// The speed that is told to kernels. Older kernels, 6.1 among them, refuse to attach a `SuperPlus` device
    /// (`valid_args` in `drivers/usb/usbip/vhci_sysfs.c`), not-my-board's agent counts its port as one of USB 2, and
    /// every kernel takes such a device as `Super`: the number says which kind of root hub it is attached to, the bytes
    /// flow as fast as they can. `Unknown` is what not-my-board's exporter says of those devices, and no kernel takes it.
    #[must_use]
    pub fn for_kernel(self) -> Self {
        match self {
            Self::Unknown | Self::SuperPlus => Self::Super,
            known => known,
        }
    }
}

impl TryFrom<u32> for Speed {
    type Error = WireError;

    fn try_from(number: u32) -> Result<Self, WireError> {
        Ok(match number {
            0 => Self::Unknown,
            1 => Self::Low,
            2 => Self::Full,
            3 => Self::High,
            4 => Self::Wireless,
            5 => Self::Super,
            6 => Self::SuperPlus,
            other => return Err(WireError::Speed(other)),
        })
    }
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

fn put_header(bytes: &mut [u8], code: u16) {
    put(bytes, 0, &VERSION.to_be_bytes());
    put(bytes, 2, &code.to_be_bytes());
    // The status, which is 0 in both messages, is there already.
}

/// Takes fields from the front of a message, whose length its type has checked.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> &'a [u8] {
        let (field, rest) = self.0.split_at(length);
        self.0 = rest;
        field
    }

    fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from_be_bytes([self.u8(), self.u8()])
    }

    fn u32(&mut self) -> u32 {
        u32::from(self.u16()) << 16 | u32::from(self.u16())
    }

    fn header(&mut self, code: u16) -> Result<(), WireError> {
        constant("version", VERSION.into(), self.u16().into())?;
        constant("code", code.into(), self.u16().into())?;
        constant("status", 0, self.u32())
    }

    fn text(&mut self, name: &'static str, length: usize) -> Result<&'a str, WireError> {
        let field = self.take(length);
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(length);
        let (text, padding) = field.split_at(end);
        let text = std::str::from_utf8(text).map_err(|_| WireError::Text(name))?;
        if padding.is_empty() || padding.iter().any(|byte| *byte != 0) {
            return Err(WireError::Text(name));
        }
        Ok(text)
    }
}

fn constant(field: &'static str, expected: u32, got: u32) -> Result<(), WireError> {
    if expected == got { Ok(()) } else { Err(WireError::Constant { field, expected, got }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn gadget() -> ImportReply {
        ImportReply {
            path: "/sys/bus/usb/devices/1-1".to_owned(),
            busid: "1-1".parse().unwrap(),
            busnum: 1,
            devnum: 2,
            speed: Speed::High,
            vendor: 0x1d6b,
            product: 0x0104,
            release: 0x0601,
            class: 0,
            subclass: 0,
            protocol: 0,
            configuration: 0,
            configurations: 1,
            interfaces: 0,
        }
    }

    #[test]
    fn bytes_are_those_seen_on_the_wire() {
        let request = ImportRequest { busid: "1-1".parse().unwrap() }.encode();
        assert_eq!(hex::encode(&request[..12]), "0111800300000000312d3100");
        assert!(request[12..].iter().all(|byte| *byte == 0));
        let reply = gadget().encode();
        assert_eq!(hex::encode(&reply[..8]), "0111000300000000");
        assert_eq!(hex::encode(&reply[296..]), "0000000100000002000000031d6b01040601000000000100");
        assert_eq!(gadget().devid(), 0x1_0002);
    }

    #[test]
    fn what_should_be_constant_is() {
        let mut reply = gadget().encode();
        reply[7] = 1;
        assert_eq!(ImportReply::decode(&reply).unwrap_err().to_string(), "Expected status=0, got=1");
        let mut request = ImportRequest { busid: "1-1".parse().unwrap() }.encode();
        request[39] = 1;
        assert_eq!(ImportRequest::decode(&request), Err(WireError::Text("busid")));
        request[39] = 0;
        request[3] = 5;
        assert_eq!(
            ImportRequest::decode(&request).unwrap_err().to_string(),
            "Expected code=32771, got=32773"
        );
    }

    #[test]
    fn a_path_that_is_too_long_is_cut_between_characters() {
        let long = ImportReply { path: "ä".repeat(200), ..gadget() };
        assert_eq!(ImportReply::decode(&long.encode()).unwrap().path, "ä".repeat(127));
    }

    #[test]
    fn every_kernel_takes_the_speeds_that_it_is_told() {
        for (sysfs, speed, told) in [
            ("1.5\n", Speed::Low, 1),
            ("12\n", Speed::Full, 2),
            ("480\n", Speed::High, 3),
            ("53.3-480\n", Speed::Wireless, 4),
            ("5000\n", Speed::Super, 5),
            ("10000\n", Speed::SuperPlus, 5),
            ("20000\n", Speed::SuperPlus, 5),
            ("unknown\n", Speed::Unknown, 5),
        ] {
            assert_eq!(Speed::from_sysfs(sysfs), speed);
            assert_eq!(speed.for_kernel() as u32, told);
        }
    }

    proptest! {
        #[test]
        fn a_reply_survives_the_wire(
            path in "[a-zA-Z0-9/.:ä-]{0,120}", busid in "[1-9]{1,3}-[1-9]{1,2}(\\.[1-9]){0,6}",
            numbers in any::<(u32, u32, u16, u16, u16, [u8; 6])>(), speed in 0_u32..7,
        ) {
            let (busnum, devnum, vendor, product, release, rest) = numbers;
            let [class, subclass, protocol, configuration, configurations, interfaces] = rest;
            let reply = ImportReply {
                path, busid: busid.parse().unwrap(), busnum, devnum, speed: speed.try_into().unwrap(), vendor, product,
                release, class, subclass, protocol, configuration, configurations, interfaces,
            };
            prop_assert_eq!(ImportReply::decode(&reply.encode()), Ok(reply));
        }

        #[test]
        fn what_is_understood_is_what_would_be_sent(
            mut bytes in proptest::collection::vec(any::<u8>(), REQUEST_LENGTH), zeros in 0..REQUEST_LENGTH,
        ) {
            bytes[zeros..].fill(0);
            let mut bytes: [u8; REQUEST_LENGTH] = bytes.try_into().unwrap();
            bytes[..8].copy_from_slice(&[1, 0x11, 0x80, 3, 0, 0, 0, 0]);
            if let Ok(request) = ImportRequest::decode(&bytes) {
                prop_assert_eq!(request.encode(), bytes);
            }
        }
    }
}
