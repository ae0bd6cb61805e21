// Java: System.out and System.err, java.util.logging to stderr and into a file, threads that wait
// for each other, a child.
import java.util.logging.FileHandler;
import java.util.logging.Formatter;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

public class Writer {
    public static void main(String[] arguments) throws Exception {
        Logger logger = Logger.getLogger("writer");
        logger.setUseParentHandlers(false);
        FileHandler handler = new FileHandler("java.log");
        handler.setFormatter(new Formatter() {
            @Override
            public String format(LogRecord record) {
                return record.getLevel() + " " + record.getMessage() + "\n";
            }
        });
        logger.addHandler(handler);
        for (int line = 0; line < 200; line++) {
            System.out.println("System.out " + line);
            System.err.println("System.err " + line);
            System.out.printf("printf %d%n", line);
            logger.warning("log " + line);
        }
        Thread thread = new Thread(() -> System.out.println("from a thread"));
        thread.start();
        thread.join();
        new ProcessBuilder("echo", "from a child").inheritIO().start().waitFor();
        handler.close();
        System.exit(11);
    }
}
