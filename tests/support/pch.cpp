// SPDX-License-Identifier: Apache-2.0
// Carries the precompiled GoogleTest headers; see CMakeLists.txt.
int main() {
    return 0;
}
