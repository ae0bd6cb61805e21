// C++ streams, synchronised with C's or not: with the argument "apart" they are not.
#include <cstring>
#include <fstream>
#include <iostream>

int main(int count, char **arguments) {
    if (count > 1 && std::strcmp(arguments[1], "apart") == 0) std::ios::sync_with_stdio(false);
    std::ofstream log("stream.log");
    for (int round = 0; round < 100; round++) {
        std::cout << "cout " << round << ' ' << 1.5 << '\n';
        std::cout << "cout with endl" << std::endl;
        std::cerr << "cerr " << round << " in parts" << '\n';
        std::clog << "clog " << round << std::endl;
        log << "ofstream " << round << '\n';
    }
    std::cout << std::flush;
    std::cout.write("write\n", 6).flush();
    std::cout.put('p').put('\n').flush();
    return 0;
}
