// SPDX-License-Identifier: Apache-2.0

public import ArgumentParser
public import HarnessBasics

extension ByteCount: ExpressibleByArgument {
    /// As it is written on a command line.
    public var defaultValueDescription: String { written }
}
