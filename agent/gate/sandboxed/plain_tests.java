// Calls Java tests as a plain program; a copy is built inside the sandbox only. It judges nothing.

import java.io.FileOutputStream;
import java.io.PrintStream;
import java.lang.annotation.Annotation;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.List;

public class WORD {
    public static void main(String[] arguments) throws Exception {
        String word = new java.io.BufferedReader(new java.io.InputStreamReader(System.in)).readLine();
        PrintStream said = new PrintStream(new FileOutputStream("/proc/self/fd/3"), true);
        String name = arguments[0];
        Class<?> tested;
        try {
            tested = Class.forName(name);
        } catch (Throwable error) {
            said.print(word + " end\n");
            return;
        }
        if (has(tested.getAnnotations(), "RunWith", "ExtendWith", "SpringBootTest", "Testcontainers")) {
            said.print(word + " end\n");
            return;
        }
        for (Method method : tested.getDeclaredMethods()) {
            if (!has(method.getAnnotations(), "Test") || method.getParameterCount() > 0) {
                continue;
            }
            if (has(method.getAnnotations(), "Disabled", "Ignore") || expects(method)) {
                continue;
            }
            String test = name + "::" + method.getName();
            said.print(word + " start\t" + test + "\n");
            String outcome = "passed";
            String raised = "";
            int line = 0;
            try {
                call(tested, method);
            } catch (Throwable found) {
                Throwable error = found;
                while (error instanceof InvocationTargetException && error.getCause() != null) {
                    error = error.getCause();
                }
                raised = error.getClass().getSimpleName();
                boolean left = raised.contains("Aborted") || raised.contains("Assumption");
                outcome = left ? "left out" : "failed";
                for (StackTraceElement frame : error.getStackTrace()) {
                    if (line == 0 && frame.getClassName().equals(name)) {
                        line = frame.getLineNumber();
                    }
                }
            }
            said.print(word + " outcome\t" + test + "\t" + outcome + "\t" + raised + "\t" + line + "\n");
        }
        said.print(word + " end\n");
        Runtime.getRuntime().halt(0);
    }

    private static void call(Class<?> tested, Method method) throws Throwable {
        Object made = null;
        if (!Modifier.isStatic(method.getModifiers())) {
            Constructor<?> constructor = tested.getDeclaredConstructor();
            constructor.setAccessible(true);
            made = constructor.newInstance();
        }
        each(tested, made, "BeforeAll", "BeforeClass");
        each(tested, made, "BeforeEach", "Before");
        try {
            method.setAccessible(true);
            method.invoke(made);
        } finally {
            each(tested, made, "AfterEach", "After");
            each(tested, made, "AfterAll", "AfterClass");
        }
    }

    private static void each(Class<?> tested, Object made, String... names) throws Throwable {
        List<Method> all = new ArrayList<>();
        for (Class<?> one = tested; one != null; one = one.getSuperclass()) {
            all.addAll(0, java.util.Arrays.asList(one.getDeclaredMethods()));
        }
        for (Method method : all) {
            if (has(method.getAnnotations(), names) && method.getParameterCount() == 0) {
                method.setAccessible(true);
                method.invoke(made);
            }
        }
    }

    private static boolean has(Annotation[] all, String... names) {
        for (Annotation one : all) {
            for (String name : names) {
                if (one.annotationType().getSimpleName().equals(name)) {
                    return true;
                }
            }
        }
        return false;
    }

    private static boolean expects(Method method) {
        for (Annotation one : method.getAnnotations()) {
            try {
                Object expected = one.annotationType().getMethod("expected").invoke(one);
                if (expected instanceof Class && !((Class<?>) expected).getSimpleName().equals("None")) {
                    return true;
                }
            } catch (ReflectiveOperationException error) {
                continue;
            }
        }
        return false;
    }
}
