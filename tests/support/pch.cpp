// Carries the precompiled GoogleTest headers; see CMakeLists.txt.
int main() {
    return 0;
}
