"""The libraries of other systems, as far as they are called, by their documentation."""

import struct
from types import SimpleNamespace


class Function:
    """A C function: Python's, with the attributes that ctypes' functions have."""

    def __init__(self, call):
        self.call = call
        self.argtypes = self.restype = None

    def __call__(self, *arguments):
        assert self.argtypes is None or len(self.argtypes) == len(arguments)
        return self.call(*arguments)


def _set_information(index, efficiency, kind=0):
    """One SYSTEM_CPU_SET_INFORMATION, with all its fields: 32 bytes."""
    return struct.pack("<IIIHBBBBBBxxIQ", 32, kind, 256 + index, 0, index, index, 0, 0, efficiency, 0, 0, 0)[:32]


def kernel32(classes, own=None, total=0, available=0, with_file=2**40):
    """Return kernel32 of a machine with a processor for each efficiency class, and a mask of those allowed."""
    everyone = 2 ** len(classes) - 1
    # what is of no known type is to be skipped
    sets = _set_information(0, 9, kind=7) + b"".join(map(_set_information, range(len(classes)), classes))

    def mask(process, to_own, to_system):
        assert process == -1
        to_own._obj.value, to_system._obj.value = everyone if own is None else own, everyone
        return 1

    def information(buffer, size, needed, process, flags):
        needed._obj.value = len(sets)
        if buffer is None or size.value < len(sets):
            return 0
        buffer[: len(sets)] = sets
        return 1

    def status(buffer):
        assert struct.unpack_from("<I", buffer)[0] == len(buffer) == 64
        buffer[8:40] = struct.pack("<4Q", total, available, with_file, with_file)
        return 1

    return SimpleNamespace(
        GetCurrentProcess=Function(lambda: -1),
        GetProcessAffinityMask=Function(mask),
        GetSystemCpuSetInformation=Function(information),
        GlobalMemoryStatusEx=Function(status),
    )


def libsystem(fast=None, free=0, inactive=0):
    """Return macOS's C library, of a machine with fast processors or with processors of one kind."""
    relieved = []

    def sysctl(name, to_value, to_size, new, new_size):
        assert (name, new, new_size) == (b"hw.perflevel0.logicalcpu", None, 0)
        if fast is None:
            return -1
        # an int: the lower half of what is there
        to_value._obj.value, to_size._obj.value = fast, 4
        return 0

    def statistics(host, flavour, pages, count):
        assert (host, flavour, count._obj.value, len(pages)) == (7, 4, 38, 38)
        pages[0], pages[2] = free, inactive
        return 0

    return SimpleNamespace(
        sysctlbyname=Function(sysctl),
        mach_host_self=Function(lambda: 7),
        host_statistics64=Function(statistics),
        malloc_zone_pressure_relief=Function(lambda zone, goal: relieved.append((zone, goal)) or 0),
        relieved=relieved,
    )
